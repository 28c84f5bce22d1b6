"""The application with views that run the SQL of a request's body."""

from __future__ import annotations

from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse

from runninghub_batch import asgi


class AskingHandler(asgi.Handler):
    def get_response(self, request: HttpRequest) -> HttpResponse:
        if request.method == "POST":
            try:
                with connection.cursor() as cursor:
                    cursor.execute(request.read().decode())
            except DatabaseError:
                return HttpResponse(status=500)
        return HttpResponse()


application = AskingHandler()
