# Two images from one file: `app` (web, sockets, beat, migrations) and `engine` (app and Blender: workers, render nodes).
# ffmpeg and poppler-utils draw previews of videos and PDF; without them those have none.
FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/yuntu
COPY requirements/base.txt requirements/
RUN pip install --require-hashes -r requirements/base.txt

# Translations are compiled by the locked Babel, which the platform itself does not need.
FROM base AS translations
COPY requirements/dev.txt requirements/
RUN awk '/^[a-z]/ {wanted = /^babel==/} wanted' requirements/dev.txt > babel.txt \
    && pip install --require-hashes --no-deps -r babel.txt
COPY locale locale
RUN for source in locale/*/LC_MESSAGES/*.po; do \
        python -m babel.messages.frontend --quiet compile -i "$source" -o "${source%.po}.mo" || exit 1; \
    done

FROM base AS app
# State that outlives a container: blobs, outbox, the render node's cache. nginx runs as the same user (compose.yaml).
RUN useradd --uid 10001 --create-home yuntu && mkdir /var/lib/yuntu && chown yuntu: /var/lib/yuntu
COPY . .
COPY --from=translations /srv/yuntu/locale locale
ENV DEBUG=0 YUNTU_VAR=/var/lib/yuntu STATIC_ROOT=/srv/static
RUN SECRET_KEY=none JWT_SIGNING_KEY=none python manage.py collectstatic --noinput --verbosity 0
USER yuntu
VOLUME /var/lib/yuntu

FROM app AS engine
USER root
RUN apt-get update -q \
    && sed '/^# Only the tests/,$d; s/#.*//' scripts/system-packages.txt | xargs apt-get install -qy --no-install-recommends ffmpeg poppler-utils \
    && rm -rf /var/lib/apt/lists/* \
    && python scripts/install_blender.py
USER yuntu
