"""Executors run one program in isolation: `local` (a child process, warm or cold) and its fake twin.

Purpose: hide how and where untrusted code runs. `protocol` has the contract, `local` the real launcher,
`inprocess` the fake for fast tests; one contract suite (tests/jobs/test_executor_contract.py) runs on both.
The child's side (`program`, `nanny`, `forker`, `confine`) knows neither Django nor a database.
"""
