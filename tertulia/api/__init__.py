"""The HTTP API: `app.create_app(ports)` gives an ASGI application."""
