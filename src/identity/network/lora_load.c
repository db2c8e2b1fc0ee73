/* Files of other trainers. Every key is cut into prefix, module and role (A, B, α). All spellings of all
 * modules of this very transformer are in one table, so a module that is not found there belongs to another
 * model. Pieces of a fused layer (diffusers' q, k, v) are gathered first and joined at the end: where their A
 * is the same matrix, their B are put one below the other and the rank stays; else A are put one below the
 * other and B along a diagonal of blocks, which is exact. */
#include "identity/network/lora_private.h"

#include <jansson.h>
#include <math.h>
#include <string.h>

/* A module as a file may name it. */
typedef struct {
  const Slot *slot;
  int part, parts;  /* which of the row thirds; 0 of 1: the whole */
  gboolean swapped; /* halves of the rows */
} Spelling;

/* One pair of matrices as it lies in the file. */
typedef struct {
  const SafetensorsTensor *a, *b, *alpha;
  char *module; /* as the file spells it, for messages */
} Pair;

/* All that a file has for one layer. */
typedef struct {
  Pair whole, parts[3];
  gboolean swapped;
} Gathered;

typedef struct {
  const char *path;
  const Transformer *transformer;
  Safetensors *file;
  GHashTable *spellings; /* char * -> Spelling * */
  GHashTable *gathered;  /* const Slot * -> Gathered * */
  json_t *metadata;      /* diffusers' lora_adapter_metadata, or NULL */
} Loading;

/* --- names --- */

static void add_spelling(GHashTable *table, const char *name, Spelling spelling) {
  char *underscores = g_strdup(name);
  g_strdelimit(underscores, ".", '_');
  g_hash_table_insert(table, g_strdup(name), g_memdup2(&spelling, sizeof spelling));
  g_hash_table_insert(table, underscores, g_memdup2(&spelling, sizeof spelling));
}

static GHashTable *spellings_new(const Transformer *transformer) {
  GHashTable *table = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
  for (guint i = 0; i < transformer->slots->len; i++) {
    const Slot *slot = &g_array_index(transformer->slots, Slot, i);
    if (!slot->linear)
      continue;
    add_spelling(table, slot->linear->name, (Spelling){slot, 0, 1, FALSE});
    for (int part = 0; part < slot->parts; part++)
      add_spelling(table, slot->diffusers[part], (Spelling){slot, part, slot->parts, slot->swapped});
  }
  return table;
}

/* Of a key without its ending: with and without what exporters put before it. Two of the beginnings are
 * diffusers' names of which a fixed number of letters was cut off. */
static const Spelling *find_module(const Loading *loading, const char *name) {
  static const char *const prefixes[] = {
      "base_model.model.", "diffusion_model.", "transformer.", "lora_unet_",
      "lora_transformer_", "model.",           "unet."};
  static const char *const cut[][2] = {{"sformer_blocks.", "transformer_blocks."},
                                       {"le_transformer_blocks.", "single_transformer_blocks."}};
  for (gsize i = 0; i < G_N_ELEMENTS(cut); i++)
    if (g_str_has_prefix(name, cut[i][0])) {
      g_autofree char *mended = g_strconcat(cut[i][1], name + strlen(cut[i][0]), NULL);
      return g_hash_table_lookup(loading->spellings, mended);
    }
  for (gsize i = 0; i < G_N_ELEMENTS(prefixes);) {
    const Spelling *spelling = g_hash_table_lookup(loading->spellings, name);
    if (spelling)
      return spelling;
    if (g_str_has_prefix(name, prefixes[i])) {
      name += strlen(prefixes[i]);
      i = 0;
    } else {
      i++;
    }
  }
  return g_hash_table_lookup(loading->spellings, name);
}

typedef enum { ROLE_NONE, ROLE_A, ROLE_B, ROLE_ALPHA } Role;

/* The role that a key's ending tells, and the module (transfer full) before it. */
static Role split_key(const char *key, char **module) {
  static const struct {
    const char *ending;
    Role role;
  } endings[] = {
      {".lora_A.weight", ROLE_A},
      {".lora_B.weight", ROLE_B},
      {".lora_down.weight", ROLE_A},
      {".lora_up.weight", ROLE_B},
      {".alpha", ROLE_ALPHA},
      {".lora_A.default.weight", ROLE_A},
      {".lora_B.default.weight", ROLE_B},
      {".lora.down.weight", ROLE_A},
      {".lora.up.weight", ROLE_B},
      {".lora_A", ROLE_A},
      {".lora_B", ROLE_B},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(endings); i++)
    if (g_str_has_suffix(key, endings[i].ending)) {
      *module = g_strndup(key, strlen(key) - strlen(endings[i].ending));
      return endings[i].role;
    }
  return ROLE_NONE;
}

/* What kind of adapter a key belongs to that cannot be used here, or NULL. */
static const char *other_kind(const char *key) {
  static const struct {
    const char *part, *kind;
  } kinds[] = {
      {"dora_scale", "a DoRA"},
      {"lora_magnitude_vector", "a DoRA"},
      {"lokr_", "a LoKr"},
      {"hada_", "a LoHa"},
      {"oft_", "an OFT"},

      {".lora_mid", "a Tucker LoRA"},
      {"lora_te", "a text encoder's LoRA"},
      {"text_encoder", "a text encoder's LoRA"},
  };
  for (gsize i = 0; i < G_N_ELEMENTS(kinds); i++)
    if (strstr(key, kinds[i].part))
      return kinds[i].kind;
  if (g_str_has_suffix(key, ".diff") || g_str_has_suffix(key, ".diff_b") ||
      g_str_has_suffix(key, ".set_weight"))
    return "a full difference";
  return NULL;
}

/* --- gathering --- */

static void gathered_free(gpointer data) {
  Gathered *gathered = data;
  g_free(gathered->whole.module);
  for (int i = 0; i < 3; i++)
    g_free(gathered->parts[i].module);
  g_free(gathered);
}

static gboolean gather_key(Loading *loading, const char *key, GError **error) {
  const char *kind = other_kind(key);
  if (kind)
    return fault(error, FAULT_INPUT, "%s is %s or contains one (%s); only plain LoRA files can be used.",
                 loading->path, kind, key);
  g_autofree char *module = NULL;
  Role role = split_key(key, &module);
  if (role == ROLE_NONE)
    return fault(error, FAULT_INPUT, "%s: %s is no part of a LoRA.", loading->path, key);
  const Spelling *spelling = find_module(loading, module);
  if (!spelling)
    return fault(error, FAULT_INPUT, "%s was made for another model: the transformer in use has no layer %s.",
                 loading->path, module);
  Gathered *gathered = g_hash_table_lookup(loading->gathered, spelling->slot);
  if (!gathered) {
    gathered = g_new0(Gathered, 1);
    g_hash_table_insert(loading->gathered, (gpointer)spelling->slot, gathered);
  }
  Pair *pair = spelling->parts == 1 ? &gathered->whole : &gathered->parts[spelling->part];
  const SafetensorsTensor **place = role == ROLE_A ? &pair->a : role == ROLE_B ? &pair->b : &pair->alpha;
  if (*place)
    return fault(error, FAULT_INPUT, "%s has the layer %s twice.", loading->path, module);
  *place = safetensors_find(loading->file, key);
  if (!pair->module)
    pair->module = g_steal_pointer(&module);
  gathered->swapped = gathered->swapped || spelling->swapped;
  return TRUE;
}

/* --- numbers --- */

static gboolean read_numbers(const Loading *loading, const char *module, const SafetensorsTensor *tensor,
                             float *out, GError **error) {
  if (!safetensors_floats(tensor, out))
    return fault(error, FAULT_INPUT, "%s: the numbers of %s are of a type that is not supported.",
                 loading->path, module);
  gint64 count = safetensors_count(tensor);
  for (gint64 i = 0; i < count; i++)
    if (!isfinite(out[i]))
      return fault(error, FAULT_INPUT, "%s: %s has values that are not numbers.", loading->path, module);
  return TRUE;
}

/* A number of diffusers' metadata: for this module where a pattern names it, else for all. */
static gboolean metadata_number(const Loading *loading, const char *pattern_key, const char *key,
                                const char *module, double *value) {
  json_t *patterns = json_object_get(loading->metadata, pattern_key);
  const char *pattern;
  json_t *number;
  json_object_foreach(patterns, pattern,
                      number) if (g_str_has_suffix(module, pattern) && json_is_number(number)) {
    *value = json_number_value(number);
    return TRUE;
  }
  number = json_object_get(loading->metadata, key);
  if (json_is_number(number))
    *value = json_number_value(number);
  return json_is_number(number);
}

/* α / r: from the pair's own alpha, from the header, or 1. */
static gboolean read_scale(const Loading *loading, const Pair *pair, gint64 rank, double *scale,
                           GError **error) {
  double alpha = (double)rank;
  if (pair->alpha) {
    float number;
    if (safetensors_count(pair->alpha) != 1)
      return fault(error, FAULT_INPUT, "%s: alpha of %s is not one number.", loading->path, pair->module);
    if (!read_numbers(loading, pair->module, pair->alpha, &number, error))
      return FALSE;
    alpha = number;
  } else {
    metadata_number(loading, "transformer.alpha_pattern", "transformer.lora_alpha", pair->module, &alpha);
  }
  *scale = alpha / (double)rank;
  if (!isfinite(*scale) || fabs(*scale) > 1e4)
    return fault(error, FAULT_INPUT, "%s: alpha of %s is out of range.", loading->path, pair->module);
  return TRUE;
}

/* --- joining --- */

/* One pair, as fp32. */
typedef struct {
  gint64 rank, rows;
  double scale;
  float *a, *b; /* [rank, in], [rows, rank] */
} Matrices;

static void matrices_clear(Matrices *matrices) {
  g_free(matrices->a);
  g_free(matrices->b);
}

static gboolean read_pair(const Loading *loading, const Slot *slot, const Pair *pair, gint64 rows,
                          Matrices *out, GError **error) {
  if (!pair->a || !pair->b)
    return fault(error, FAULT_INPUT, "%s: one of the two matrices of %s is missing.", loading->path,
                 pair->module);
  /* 1x1 kernels behind the two sides are how some write a linear layer. */
  for (int i = 2; i < MAX(pair->a->rank, pair->b->rank); i++)
    if ((i < pair->a->rank && pair->a->shape[i] != 1) || (i < pair->b->rank && pair->b->shape[i] != 1))
      return fault(error, FAULT_INPUT, "%s: %s is not a linear layer.", loading->path, pair->module);
  gint64 rank = pair->a->rank >= 2 ? pair->a->shape[0] : 0;
  if (rank < 1 || rank > LORA_RANK_MAX)
    return fault(error, FAULT_INPUT, "%s: %s has no usable rank.", loading->path, pair->module);
  if (pair->b->rank < 2 || pair->a->shape[1] != slot->cols || pair->b->shape[0] != rows ||
      pair->b->shape[1] != rank)
    return fault(error, FAULT_INPUT,
                 "%s: the sizes of %s are not those of the transformer in use (%d to %d); it was made for "
                 "another model.",
                 loading->path, pair->module, (int)slot->cols, (int)rows);
  *out = (Matrices){.rank = rank, .rows = rows};
  out->a = g_new(float, (gsize)(rank * slot->cols));
  out->b = g_new(float, (gsize)(rank * rows));
  return read_scale(loading, pair, rank, &out->scale, error) &&
         read_numbers(loading, pair->module, pair->a, out->a, error) &&
         read_numbers(loading, pair->module, pair->b, out->b, error);
}

static void swap_rows(float *b, gint64 rows, gint64 rank) {
  gint64 half = rows / 2 * rank;
  for (gint64 i = 0; i < half; i++) {
    float value = b[i];
    b[i] = b[half + i];
    b[half + i] = value;
  }
}

/* Some or all of three thirds. */
static void join_parts(Lora *lora, const Slot *slot, const Matrices parts[3]) {
  gboolean same = TRUE;
  gint64 rank = 0, total = 0, third = slot->rows / 3;
  const Matrices *first = NULL;
  for (int i = 0; i < 3; i++) {
    if (!parts[i].rank)
      continue;
    first = first ? first : &parts[i];
    rank = parts[i].rank;
    total += rank;
    same = same && rank == first->rank && parts[i].scale == first->scale &&
           memcmp(parts[i].a, first->a, sizeof(float) * (gsize)(rank * slot->cols)) == 0;
  }
  LoraLayer *layer = lora_add(lora, slot->linear->name, slot->cols, slot->rows, same ? rank : total);
  layer->scale = same ? (float)first->scale : 1;
  gint64 at = 0;
  for (int i = 0; i < 3; i++) {
    gint64 own = parts[i].rank;
    float factor = same ? 1 : (float)parts[i].scale;
    if (own)
      memcpy(layer->a + at * slot->cols, parts[i].a, sizeof(float) * (gsize)(own * slot->cols));
    for (gint64 row = 0; own && row < third; row++)
      for (gint64 k = 0; k < own; k++)
        layer->b[(i * third + row) * layer->rank + at + k] = parts[i].b[row * own + k] * factor;
    at += same ? 0 : own;
  }
}

static gboolean join_layer(const Loading *loading, Lora *lora, const Slot *slot, const Gathered *gathered,
                           GError **error) {
  gboolean whole = gathered->whole.module != NULL, good = TRUE;
  Matrices parts[3] = {0};
  for (int i = 0; i < 3 && good; i++)
    if (gathered->parts[i].module) {
      good = !whole && read_pair(loading, slot, &gathered->parts[i], slot->rows / 3, &parts[i], error);
      if (whole)
        fault(error, FAULT_INPUT, "%s has the layer %s both whole and in parts.", loading->path,
              gathered->whole.module);
    }
  if (good && whole)
    good = read_pair(loading, slot, &gathered->whole, slot->rows, &parts[0], error);
  if (good && whole) {
    LoraLayer *layer = lora_add(lora, slot->linear->name, slot->cols, slot->rows, parts[0].rank);
    layer->scale = (float)parts[0].scale;
    memcpy(layer->a, parts[0].a, sizeof(float) * (gsize)(layer->rank * layer->in));
    memcpy(layer->b, parts[0].b, sizeof(float) * (gsize)(layer->rank * layer->out));
    if (gathered->swapped)
      swap_rows(layer->b, layer->out, layer->rank);
  } else if (good) {
    join_parts(lora, slot, parts);
  }
  for (int i = 0; i < 3; i++)
    matrices_clear(&parts[i]);
  return good;
}

static Lora *load(Loading *loading, GError **error) {
  g_autoptr(GPtrArray) names = safetensors_names(loading->file);
  for (guint i = 0; i < names->len; i++)
    if (!gather_key(loading, names->pdata[i], error))
      return NULL;
  g_autoptr(Lora) lora = lora_alloc();
  const GArray *slots = loading->transformer->slots;
  for (guint i = 0; i < slots->len; i++) {
    const Slot *slot = &g_array_index(slots, Slot, i);
    const Gathered *gathered = g_hash_table_lookup(loading->gathered, slot);
    if (gathered && !join_layer(loading, lora, slot, gathered, error))
      return NULL;
  }
  if (lora->layers->len == 0)
    return fault_null(error, FAULT_INPUT, "%s has no LoRA in it.", loading->path);
  return g_steal_pointer(&lora);
}

Lora *lora_load(const char *path, const Transformer *transformer, GError **error) {
  g_autoptr(Safetensors) file = safetensors_open(path, error);
  if (!file)
    return NULL;
  g_autoptr(GHashTable) spellings = spellings_new(transformer);
  g_autoptr(GHashTable) gathered = g_hash_table_new_full(NULL, NULL, NULL, gathered_free);
  Loading loading = {
      .path = path, .transformer = transformer, .file = file, .spellings = spellings, .gathered = gathered};
  const char *text = safetensors_metadata(file, "lora_adapter_metadata");
  if (text)
    loading.metadata = json_loads(text, 0, NULL);
  Lora *lora = load(&loading, error);
  json_decref(loading.metadata);
  return lora;
}
