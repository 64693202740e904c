"""The pages for people, with their styles and scripts."""

from target.web.routes import WebRoutes

__all__ = ["WebRoutes"]
