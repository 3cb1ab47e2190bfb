"""Our platform behind other servers than gunicorn alone: which of them should take the bytes?"""

import getpass
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.uploads.contestants import free_port, install_nginx, nginx_command
from benchmarks.uploads.yuntu import Yuntu

# As in compose.yaml.
UVICORN = (
    "config.asgi:application --loop uvloop --http httptools --lifespan off --no-proxy-headers --workers 2"
)


class AsgiYuntu(Yuntu):
    """uvicorn in as many processes."""

    name = "yuntu, uvicorn"

    def command(self) -> list[str | Path]:
        bound = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [sys.executable, "-m", "uvicorn", *bound, *UVICORN.split(), "--log-level", "error"]


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
    upstream platform {{ server 127.0.0.1:{behind}; keepalive 32; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://platform; proxy_set_header Host $http_host; proxy_set_header Connection "";
            proxy_http_version 1.1; proxy_read_timeout 300s;
        }}
    }}
}}
"""

    def install(self) -> None:
        install_nginx(self.tools)

    def launch(self, command: Sequence[str | Path], env: dict[str, str] | None = None) -> None:
        """gunicorn on a port of its own, nginx on that of the contestant."""
        front, self.port = self.port, free_port()
        super().launch(self.command(), env)
        written = self.CONFIGURATION.format(
            user=getpass.getuser(), data=self.data, port=front, behind=self.port, buffer=self.buffer
        )
        (self.data / "nginx.conf").write_text(written)
        self.await_port()
        self.port = front
        super().launch(nginx_command(self.tools, self.data), env)


class BufferedYuntu(SpooledYuntu):
    """The same, with bodies of up to 6 MiB in nginx's memory."""

    name = "yuntu, nginx holds"
    buffer = "6m"
