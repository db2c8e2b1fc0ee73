/* One line of JSON for each request, on standard error. */
#pragma once
#include "api/http/request.h"

void log_request(const Request *request, int status, gint64 microseconds, guint64 out);
/* Our own trouble, apart from a request. */
void log_trouble(const char *what, const char *message);
