#!/usr/bin/env python
"""Django's command line. Commands find the embedded services running (see xinstruct_site/embedded.py)."""

import os
import sys

# These answer without a database, so they must not start one.
NO_SERVICES = {"help", "--help", "-h", "version", "--version", "makemessages", "compilemessages", "collectstatic"}


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xinstruct_site.settings")
    from django.core.management import execute_from_command_line

    from xinstruct_site import embedded

    wants_help = bool({"--help", "-h"} & set(sys.argv[2:]))
    command = sys.argv[1] if len(sys.argv) > 1 else "help"
    if command in NO_SERVICES or wants_help:
        execute_from_command_line(sys.argv)
        return
    with embedded.running():
        from django.db import ProgrammingError

        try:
            execute_from_command_line(sys.argv)
        except ProgrammingError:
            from xinstruct_site.health import missing_tables

            if "--traceback" in sys.argv or not (missing := missing_tables()):
                raise
            sys.exit(f"CommandError: {missing}")
        except KeyboardInterrupt:  # what worked on a row has said on it that it was stopped
            sys.exit("Stopped. What was done by then is kept.")


if __name__ == "__main__":
    main()
