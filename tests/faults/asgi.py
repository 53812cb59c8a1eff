"""The web worker under test: the product's application with failpoints.

Serves the same as `commerce.asgi`. Not part of any image or installation.
"""

from commerce.asgi import as_tasks
from commerce.wsgi import application as shop
from tests.faults.entry import leave_process_id, take_on_faults
from tests.faults.seams import with_request_points

take_on_faults()
application = as_tasks(with_request_points(shop))
leave_process_id()
