#!/bin/sh
# Starts a PostgreSQL primary, or a replica that follows it through a fault proxy; makes its data when there is none.
# Needs the PostgreSQL programs on PATH and a user "postgres"; runs as root to begin with.
# PGPASSWORD: the superuser's; PRIMARY: host:port of the primary; UPSTREAM: what the replica follows, host:port.
set -eu
role=$1
data=/var/lib/postgresql/gatecrash

if [ "$(id -u)" = 0 ]; then
  mkdir -p "$data"
  chown postgres "$data" && chmod 700 "$data"
  exec setpriv --reuid=postgres --regid=postgres --init-groups /bin/sh "$0" "$role"
fi

as_conninfo() { # host:port → a connection string without a password
  printf 'host=%s port=%s user=postgres connect_timeout=2' "${1%:*}" "${1##*:}"
}

if [ ! -s "$data/PG_VERSION" ] && [ "$role" = primary ]; then
  password=$(mktemp)
  printf '%s' "$PGPASSWORD" >"$password"
  initdb -D "$data" -U postgres --auth=scram-sha-256 --pwfile="$password" --encoding=UTF8 --locale=C --no-instructions
  rm "$password"
  printf 'host all all all scram-sha-256\nhost replication all all scram-sha-256\n' >>"$data/pg_hba.conf"
elif [ ! -s "$data/PG_VERSION" ]; then
  pg_basebackup -D "$data" -d "$(as_conninfo "$PRIMARY")" --checkpoint=fast --wal-method=stream --no-sync
  touch "$data/standby.signal"
  printf "primary_conninfo = '%s password=%s'\n" "$(as_conninfo "$UPSTREAM")" "$PGPASSWORD" >>"$data/postgresql.auto.conf"
fi

exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories='' -c max_connections=120 \
  -c shared_buffers=128MB -c wal_level=replica -c max_wal_senders=6 -c hot_standby=on -c wal_receiver_timeout=5s \
  -c wal_retrieve_retry_interval=500ms -c wal_sender_timeout=5s -c timezone=UTC -c log_min_messages=warning
