"""What gunicorn serves. It refuses to start on a database without its guards."""

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.wsgi import get_wsgi_application
from django.db import Error

from console.connections import close_connections
from core.guards import require_guards

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

try:
    application = get_wsgi_application()
    require_guards()
except ImproperlyConfigured as reason:
    sys.exit(str(reason))
except Error as error:
    sys.exit(f"The database cannot be reached ({' '.join(str(error).split())}): start it, or see DATABASE_URL.")
# Gunicorn forks after this.
close_connections()
