"""The hub: takes windows from the agents of all nodes, keeps them as a dataset, and yields it to readers.

A window goes through `serving` (connections), `app` (requests), `callers` (who asks), `intake` (validated, durable,
acknowledged) into the inbox, and from there by `keeper` into the dataset, which `upkeep` keeps in shape. `state`
remembers which windows were taken, so that each is kept once. `watching` keeps the cluster's history beside it. `hub`
wires them together; `client` is the other side.

    POST /v1/windows/IDENTITY      a window, as application/vnd.netpol.window. 200 {"stored": true|false}: durable;
                                   false: it was there already. 400, 413, 422: it will never be taken. 401, 403: other
                                   rights are needed. 408, 411, 415, 429, 503, 507: come back, after Retry-After.
    GET /v1/dataset?since=&until=  {"format", "version", "files": [{"name", "size"}]}; nanoseconds since the Unix epoch.
                                   Together these files are a dataset: they were all there at one moment.
    GET /v1/files/NAME             one of them; 404 where others hold by now what it held: ask for the list again.
    GET /v1/cluster?since=&until=  the cluster's history, as `--cluster` reads it; 404 where none is kept.
    GET /v1/status                 `report.Report`.
    GET /healthz, /readyz          200 or 503, with what is well; without a token.
    GET /metrics                   for Prometheus; without a token.

Every other answer is {"error": TEXT}. A token stands in `Authorization: Bearer`; for those who read, in X-Netpol-Token
too, because the API server's service proxy keeps the former for itself.
"""
