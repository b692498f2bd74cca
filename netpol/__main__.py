"""`python -m netpol` is `netpol`."""

from netpol.cli.main import main

if __name__ == "__main__":
    main()
