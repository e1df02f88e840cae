"""Any endpoint of any API, described in YAML and read by the engine that reads Hotjar.

`spec` says what may stand in the YAML; the other rooms read it, request it and store it.
"""
