"""``resilix demo``: one outage, lived through twice at the same time, without resilix and with it.

Five processes: for each side a server with a scripted life and a client that calls it over real sockets, and the one
that started them, which draws, measures and judges. Each file has one job::

    settings   how fast, how long, how patient          script     what happens to the server, and when
    server     the server (a process of its own)        client     one side's stream of requests (likewise)
    unguarded  how a side calls without resilix         guarded    and how with it
    messages   what the processes tell each other       processes  starts them, and always stops them
    measure    figures out of what they told            verdict    the promises, checked against the figures
    report     the final table and three sentences      picture    demo.png
    live       the view on a terminal                   plain      the view elsewhere
    run        puts all of this in order                command    the command line
"""
