"""What gunicorn serves. It refuses to start on a database without its guards."""

import os

from django.core.wsgi import get_wsgi_application

from console.connections import close_connections
from core.guards import require_guards

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")

application = get_wsgi_application()
require_guards()
# Gunicorn forks after this.
close_connections()
