"""Our platform behind other servers than gunicorn alone: which of them should take the bytes?"""

import getpass
import sys
from pathlib import Path

from benchmarks.uploads.contestants import Plain, free_port, install_nginx, nginx_command
from benchmarks.uploads.yuntu import Yuntu

# As in compose.yaml.
UVICORN = "config.asgi:application --loop uvloop --http httptools --lifespan off --no-proxy-headers"


class AsgiYuntu(Yuntu):
    """uvicorn in the same processes."""

    name = "yuntu, uvicorn"

    def gunicorn(self, port: int, workers: str) -> list[str | Path]:
        bound = ["--host", "127.0.0.1", "--port", str(port), "--log-level", "error"]
        return [sys.executable, "-m", "uvicorn", *bound, *UVICORN.split(), *workers.split()]


class OnePoolYuntu(Yuntu):
    """gunicorn without a pool for large bodies: the processes of the web take them."""

    name = "yuntu, one pool"

    def start(self) -> None:
        Plain.start(self)
        self.uploads_port = self.port


class SpooledYuntu(Yuntu):
    """nginx before gunicorn, with every body on nginx's disk first."""

    name = "yuntu, nginx spools"
    buffer = "16k"
    CONFIGURATION = """
daemon off; worker_processes 2; user {user}; pid {data}/nginx.pid; error_log {data}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off; client_max_body_size 0; client_body_temp_path {data}/temporary; client_body_buffer_size {buffer};
    proxy_temp_path {data}/t1; fastcgi_temp_path {data}/t2; uwsgi_temp_path {data}/t3; scgi_temp_path {data}/t4;
    keepalive_requests 1000000;
    upstream web {{ server 127.0.0.1:{web}; keepalive 32; }}
    upstream uploads {{ server 127.0.0.1:{uploads}; keepalive 32; }}
    proxy_set_header Host $http_host; proxy_set_header Connection ""; proxy_http_version 1.1; proxy_read_timeout 300s;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass http://web; }}
        location ~ ^/api/v1/(tus|upload-tasks/[^/]+/files/[^/]+/multipart)(/|$) {{ proxy_pass http://uploads; }}
    }}
}}
"""

    def install(self) -> None:
        install_nginx(self.tools)

    def start(self) -> None:
        """gunicorn as ever, and nginx before it."""
        super().start()
        front = free_port()
        written = self.CONFIGURATION.format(
            user=getpass.getuser(),
            data=self.data,
            port=front,
            web=self.port,
            uploads=self.uploads_port,
            buffer=self.buffer,
        )
        (self.data / "nginx.conf").write_text(written)
        self.launch(nginx_command(self.tools, self.data))
        self.await_port(front)
        self.port = self.uploads_port = front


class BufferedYuntu(SpooledYuntu):
    """The same, with bodies of up to 6 MiB in nginx's memory."""

    name = "yuntu, nginx holds"
    buffer = "6m"
