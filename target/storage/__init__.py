"""Redis and Postgres: connections, key names, batching, shards, migrations."""
