"""The sources of the page that `netpol graph -o html` writes: TypeScript and CSS, which become `dist/page.html`.

`build_hook` builds the page when netpol is installed from a checkout; wheels and sdists carry the built page.
`netpol.view.page` fills it. `npm ci && npx tsc` in this folder checks types.
"""
