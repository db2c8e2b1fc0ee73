/* What an App remembers between calls, in this process alone; made and freed with it. */
#pragma once
#include <glib.h>

typedef struct KeyCache KeyCache; /* keys.c */
KeyCache *key_cache_new(void);
void key_cache_free(KeyCache *cache);

typedef struct ModelTable ModelTable; /* drawing_models.c */
ModelTable *model_table_new(void);
void model_table_free(ModelTable *table);

typedef struct RateTable RateTable; /* rate.c */
RateTable *rate_table_new(void);
void rate_table_free(RateTable *table);
