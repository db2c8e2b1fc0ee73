/* The FLUX.2 transformer: weights, one pass forward, and the gradients for training.
 *
 * Architecture and formulas: identity engine of FLUX.2 [klein] (no guidance embedding, shared modulations, no
 * biases). Sizes are read off the tensors' shapes. Tensors of one sample: image tokens [n_image, 128] (target
 * first, then references), text features [n_text, ctx]. */
#pragma once
#include "tensor/ops.h"

typedef struct Transformer Transformer;
typedef struct Lora Lora; /* identity/network/lora.h */

typedef struct {
  gint64 hidden, heads, head, mlp, context, channels, doubles, singles;
  gint64 parameters;
} TransformerShape;

/* From a safetensors file in BFL or diffusers names (a single file, or the folder of a sharded one). The file
 * stays mapped while the transformer lives; bf16 stays bf16. trainable: weights are copied to fp32 so that
 * they can be trained (full-parameter training). FAULT_INPUT names the tensor that is missing or has another
 * shape. */
Transformer *transformer_open(const char *path, gboolean trainable, GError **error);
/* One that has learnt nothing: weights normal with deviation .8 / √in from the seed, modulations and the last
 * layer zero, so that it begins as if it had no blocks. heads and parameters of shape need not be set. dtype:
 * fp32, or bf16 where it is not trainable. FAULT_USAGE, FAULT_INPUT. */
Transformer *transformer_new(const TransformerShape *shape, Dtype dtype, gboolean trainable, guint64 seed,
                             GError **error);
void transformer_free(Transformer *transformer);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Transformer, transformer_free)
const TransformerShape *transformer_shape(const Transformer *transformer);

/* As one file under BFL's names, in fp32 or bf16. metadata: pairs key, value, NULL at the end, or NULL. */
gboolean transformer_save(const Transformer *transformer, const char *path, Dtype dtype,
                          const char *const *metadata, GError **error);

/* A position: (t, h, w, l). */
typedef gint32 TokenId[4];

typedef struct {
  gint64 n_image, n_target, n_text;
  const float *image;       /* [n_image, channels] */
  const TokenId *image_ids; /* [n_image] */
  const float *text;        /* [n_text, context] */
  const TokenId *text_ids;  /* [n_text] */
  double t;                 /* 0..1 */
} TransformerInput;

/* Memory for passes of at most so many tokens, made once. transformer_run_bytes tells beforehand what a pass
 * will hold, with what the operations need for rounding to bf16. */
typedef struct TransformerRun TransformerRun;
gint64 transformer_run_bytes(const TransformerShape *shape, gint64 n_image, gint64 n_text, gboolean training,
                             Arithmetic arithmetic);
TransformerRun *transformer_run_new(const Transformer *transformer, gint64 n_image, gint64 n_text,
                                    gboolean training, Arithmetic arithmetic, GError **error);
void transformer_run_free(TransformerRun *run);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(TransformerRun, transformer_run_free)

/* The velocity at every image token, [n_image, channels] (a sampler uses the first n_target). lora may be
 * NULL. */
void transformer_forward(TransformerRun *run, const TransformerInput *input, const Lora *lora,
                         float *velocity);
/* After a forward of the same input on a training run: d_velocity [n_image, channels] (zero where there is no
 * loss) to gradients, which are added to: of the LoRA (lora_gradients) and, for a trainable transformer, of
 * all weights (transformer_gradients). Activations inside the blocks are computed again, so that only the
 * blocks' inputs are kept, but for small networks' single blocks. d_text [n_text, context] may be NULL. */
void transformer_backward(TransformerRun *run, const TransformerInput *input, Lora *lora,
                          const float *d_velocity, float *d_text);

/* For optimisers and files: all weights of a trainable transformer, in the order of their BFL names. */
typedef struct {
  char *name;        /* BFL; freed with the array */
  gint64 rows, cols; /* rows 1 for vectors */
  float *value, *gradient;
} Parameter;
/* (transfer full; element Parameter; value and gradient are borrowed) */
GArray *transformer_parameters(Transformer *transformer);

/* From here on all blocks are computed again in the backward, even where there is room to keep what they
 * gave; for tests. */
void transformer_run_forget(TransformerRun *run);
/* From here on the run keeps copies of activations and of their gradients, for tests. */
void transformer_run_keep(TransformerRun *run);
/* Named activations of the last forward ("double0.img", "single1", "vec", …), and their gradients after a
 * backward ("d.double0.img"): copied to out, which has room for `count` floats. FALSE when there is none of
 * that name or size. */
gboolean transformer_activation(const TransformerRun *run, const char *name, float *out, gint64 count);
