"""The lean HTTP, SSE and WebSocket client on gevent sockets."""
