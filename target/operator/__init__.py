"""The operator's endpoints: the order export, the sweep's pass, and GET /status."""

from target.operator.routes import AdminRoutes, OperatedSale
from target.operator.status import StatusRoute

__all__ = ["AdminRoutes", "OperatedSale", "StatusRoute"]
