"""The operator's endpoints: the order export, the sweep's pass, and GET /status."""

from target.operator.routes import AdminRoutes
from target.operator.status import Status

__all__ = ["AdminRoutes", "Status"]
