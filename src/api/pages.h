/* The pages that travel inside the program: the OpenAPI description and its reading page. */
#pragma once
#include "api/http/http.h"

Answer *page_openapi(Api *api, Request *request, GError **error);   /* /openapi.json */
Answer *page_docs(Api *api, Request *request, GError **error);      /* /docs */
Answer *page_docs_file(Api *api, Request *request, GError **error); /* /docs/{file} */
