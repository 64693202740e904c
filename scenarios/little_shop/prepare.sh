#!/bin/sh
# Starts the little shop and its payment provider anew: everything is on sale, nothing is sold. Options go to the shop,
# e.g. `prepare.sh --plant oversell`; with `--queue room` a third party's waiting room is started on another host, too.
# `prepare.sh stop` ends all of them.
set -eu
cd "$(dirname "$0")/../.."  # where `target` can be imported
python=${PYTHON:-python3}
folder=${LITTLE_SHOP_DIR:-/tmp/gatecrash-little-shop}  # the pid files in little-shop.yaml lie there
port=${LITTLE_SHOP_PORT:-8100}
room=${LITTLE_SHOP_ROOM_PORT:-8200}
provider=${LITTLE_SHOP_PROVIDER_PORT:-9100}
payments=${LITTLE_SHOP_PAYMENTS:-http://127.0.0.1:29100}  # the edge that gatecrash listens at
mkdir -p "$folder"

alive() {  # PID: it runs, and is not just waiting for its parent to notice its end
  kill -0 "$1" 2>/dev/null && case "$(ps -o stat= -p "$1" 2>/dev/null)" in Z*) return 1 ;; esac
}

stop() {  # NAME
  [ -f "$folder/$1.pid" ] || return 0
  pid=$(cat "$folder/$1.pid")
  kill "$pid" 2>/dev/null || true
  tries=0
  while [ $tries -lt 30 ] && alive "$pid"; do
    tries=$((tries + 1))
    sleep 0.1
  done
  rm "$folder/$1.pid"
}

start() {  # NAME MODULE OPTIONS…
  name=$1
  shift
  "$python" -m "$@" >"$folder/$name.log" 2>&1 &
  echo $! >"$folder/$name.pid"
}

up() {  # NAME PORT [HOST]
  tries=0
  until "$python" -c "import urllib.request as u; u.urlopen('http://${3:-127.0.0.1}:$2/healthz', timeout=5)" 2>/dev/null; do
    tries=$((tries + 1))
    if [ $tries -gt 100 ] || ! alive "$(cat "$folder/$1.pid")"; then
      echo "$1 does not start: $(tail -n 1 "$folder/$1.log")" >&2
      exit 1
    fi
    sleep 0.1
  done
}

stop web
stop provider
stop room
if [ "${1:-}" = stop ]; then exit; fi
start provider target.little_shop.provider --port "$provider"
case " $* " in *" --queue room "*)
  start room target.little_shop.room --port "$room" --host 127.0.0.2 --shop "http://127.0.0.1:$port"
  set -- "$@" --room-url "http://127.0.0.2:$room"
  ;;
esac
start web target.little_shop --port "$port" --base-path /onsale --payments "$payments" \
  --stock 120 --queue polling --admit-per-s 40 --basket-ttl 4 --payment-timeout 1 "$@"
up provider "$provider"
up web "$port"
[ ! -f "$folder/room.pid" ] || up room "$room" 127.0.0.2
echo "url=http://127.0.0.1:$port/onsale"
