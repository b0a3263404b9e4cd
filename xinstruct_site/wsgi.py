"""What gunicorn serves. `manage.py up` starts the services it needs."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "xinstruct_site.settings")
application = get_wsgi_application()
