#!/usr/bin/env python
import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.management import execute_from_command_line
from django.db import OperationalError, ProgrammingError

from console.unmigrated import why_it_failed

if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")
    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as reason:
        sys.stderr.write(f"{reason}\n")
        sys.exit(2)
    except (OperationalError, ProgrammingError):
        if not (sentence := why_it_failed(sys.argv[1])):
            raise
        sys.stderr.write(f"{sentence}\n")
        sys.exit(1)
