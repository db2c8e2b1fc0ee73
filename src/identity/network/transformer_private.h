/* What the files of the transformer share; nothing of it is for others. */
#pragma once
#include "identity/network/lora.h"
#include "tensor/shards.h"

#define TIME_WIDTH 256 /* of the sinusoid */
#define LORA_CHUNK 256 /* ranks that are worked on at a time */
#define ROPE_THETA 2000.0
#define TRANSFORMER_EPS 1e-6f
#define WORTH_THREADS 32768 /* elements below which threads cost more than the work */

/* A linear layer: the file's weights or a copy, and its gradient where it is trained. */
typedef struct {
  char *name; /* BFL, without ".weight" */
  Weights weights;
  float *gradient;
} Linear;

/* The scale vector of an RMS norm. */
typedef struct {
  char *name; /* BFL, whole */
  float *value, *gradient;
} Scale;

typedef struct {
  Linear qkv, proj, mlp_in, mlp_out;
  Scale query, key;
} Stream;

enum { TEXT, IMAGE, STREAMS };

typedef struct {
  Stream streams[STREAMS];
} DoubleBlock;

typedef struct {
  Linear linear1, linear2;
  Scale query, key;
} SingleBlock;

/* Every linear layer and every scale with the names under which a file may hold it. Diffusers splits the
 * fused q, k, v of the double blocks: then there are three names, for the thirds of the rows. */
typedef struct {
  Linear *linear;     /* or */
  Scale *scale;       /* the other is NULL */
  char *parameter;    /* BFL name of the tensor */
  char *diffusers[3]; /* without ".weight" */
  int parts;          /* 1 or 3 */
  gboolean swapped;   /* diffusers stores the halves of the rows the other way round */
  gint64 rows, cols;  /* cols 0: a vector */
} Slot;

struct Transformer {
  TransformerShape shape;
  Shards *shards;
  gboolean trainable;
  Linear image_in, text_in, time_in, time_out;
  Linear modulation[STREAMS], single_modulation, final_modulation, final;
  DoubleBlock *doubles;
  SingleBlock *singles;
  GArray *slots;     /* Slot, in the order of BFL's names */
  GPtrArray *copies; /* memory of weights that are not the file's own */
};

/* One of this shape (heads and parameters are computed) with all its layers named and none filled. */
Transformer *transformer_alloc(const TransformerShape *shape, const char *whose, gboolean trainable,
                               GError **error);
/* Zeros that live as long as the transformer. */
gpointer transformer_copy_new(Transformer *transformer, gsize bytes);
/* For arrays of Parameter. */
void parameter_clear(gpointer data);

/* --- memory of a run --- */

/* What a block's backward needs beside its input. */
typedef struct {
  float *mod, *wide, *joined, *out, *lse, *raw;
} Activations;

struct TransformerRun {
  const Transformer *transformer;
  Arithmetic arithmetic;
  gboolean training;
  gint64 n_image, n_text; /* at most */
  void *memory;

  /* Conditioning: [256], [H], … and the three modulations [6H], [6H], [3H], [2H]. */
  float *sinusoid, *time_hidden, *time_active, *vec, *vec_active;
  float *modulation[STREAMS], *single_modulation, *final_modulation;
  float *cos, *sin; /* [T, head / 2] */

  /* Rows are tokens, text first; T = n_text + n_image. */
  float *x; /* [T, H] the stream */
  /* [blocks + 1] pointers to [T, H]: the stream before each block and after the last one; only the first
   * where nothing is trained, and it is changed in place. */
  float **kept;
  float *mod;    /* [T, H] modulated input */
  float *wide;   /* [T, 3H + 2M] q, k, v, g, u */
  float *joined; /* [T, H + M] attention and gated values */
  float *out;    /* [T, H] before the gate */
  float *lse;    /* [heads, T] */
  float *low;    /* [T, LORA_CHUNK] */
  /* Small networks keep what every single block gave, so that it need not be computed again; then mod, wide,
   * joined, out, lse and raw are those of the block that is worked on, else and between them the run's own.
   */
  Activations own, *singles; /* singles: NULL where nothing is kept */

  /* Training only. */
  float *mod2, *out2, *middle; /* [T, H] of the double blocks' second half */
  float *raw;                  /* [T, 2H] q, k before their norms */
  float *d, *d_out, *d_mod;    /* [T, H] */
  float *d_wide, *d_joined;
  float *d_low; /* [T, LORA_CHUNK] */
  float *d_modulation[STREAMS], *d_single_modulation, *d_final_modulation;
  float *d_vec, *d_vec_active, *d_time_active, *d_time_hidden;

  GHashTable *taps; /* name -> GArray of float, where activations are kept for tests */
};

static inline void run_use(TransformerRun *run, const Activations *a) {
  run->mod = a->mod;
  run->wide = a->wide;
  run->joined = a->joined;
  run->out = a->out;
  run->lse = a->lse;
  run->raw = a->raw;
}

/* What a block works on at the moment: the rows of this pass. */
typedef struct {
  TransformerRun *run;
  const Lora *lora;
  gint64 n_text, n_image, n; /* n: both */
  gboolean conditioning;     /* gradients of the modulations are wanted */
  gboolean input;            /* and of the first double block's input */
} Pass;

/* --- one layer, with its adapter --- */
void linear_forward(const Pass *pass, const Linear *linear, const float *x, gint64 n, float *y);
/* Adds to the gradients of the weights (where trained) and of the adapter (where trained); d_x may be NULL.
 */
void linear_backward(const Pass *pass, const Linear *linear, const float *x, const float *d_y, gint64 n,
                     gboolean add, float *d_x);

/* --- blocks: x in place --- */
void double_forward(const Pass *pass, int block, float *x);
void single_forward(const Pass *pass, int block, float *x);
/* Fill the working memory from a block's input again, for its gradient. */
void double_again(const Pass *pass, int block, const float *x);
void single_again(const Pass *pass, int block, const float *x);
/* Of rows of q, k, v side by side in such strides. */
AttentionShape block_attention(const Pass *pass, gint64 stride, gint64 y_stride);
/* x: the block's input (not changed); d: gradient of its output, then of its input. */
void double_backward(const Pass *pass, int block, const float *x, float *d);
void single_backward(const Pass *pass, int block, const float *x, float *d);

/* Keeps a copy of rows × cols numbers under a name where the run keeps activations. */
void transformer_tap(TransformerRun *run, const float *data, gint64 rows, gint64 cols, gint64 stride,
                     const char *format, ...) G_GNUC_PRINTF(6, 7);
/* The same of the text's and the image's rows of a stream x [n, hidden], under names that begin with prefix.
 */
void transformer_tap_streams(const Pass *pass, const float *x, const char *prefix, const char *text,
                             const char *image);
/* … after a double block. */
void transformer_tap_double(const Pass *pass, const float *x, const char *prefix, int block);
