/* The handlers of VicSee's API that have to do with drawing: for the table in vicsee.c. */
#pragma once
#include "api/vicsee/vicsee_objects.h"

Answer *vicsee_draw_character(Api *api, Request *request, GError **error);
Answer *vicsee_generate(Api *api, Request *request, GError **error);
gboolean vicsee_generate_admit(Request *request, guint64 *most, GError **error);
Answer *vicsee_list_models(Api *api, Request *request, GError **error);
Answer *vicsee_get_task(Api *api, Request *request, GError **error);
Answer *vicsee_list_tasks(Api *api, Request *request, GError **error);
Answer *vicsee_download(Api *api, Request *request, GError **error);

/* {"success": true, "data": …} with 200; takes data. */
Answer *vicsee_answer(json_t *data);
/* What a dry run found. */
Answer *vicsee_priced(gint64 price);
/* The id in the path, in whichever form. */
const char *vicsee_character_id(const Request *request);
