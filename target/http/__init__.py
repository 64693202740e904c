"""HTTP as all routes share it: bodies, problem documents, signed tokens, the OpenAPI document."""
