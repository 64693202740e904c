"""All of Locust and gevent, kept inside child processes. Importing this package alone loads neither."""
