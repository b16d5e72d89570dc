"""Other engines at the same work. The ``run_*`` files stand alone: each has its own environment.

Its pins are ``requirements/<peer>.txt``, by ``uv pip compile --universal --generate-hashes``; of
hftbacktest only what a run imports (``--no-deps``), without its plotting.
"""
