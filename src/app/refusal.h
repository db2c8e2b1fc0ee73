/* Why a request is refused or a job failed: what a client must be told apart.
 *
 * One list for all dialects; each dialect has a table from it to its own codes, statuses and advice. The
 * message of the GError is one sentence in plain words that names the field or value and says what to do. */
#pragma once
#include "base/fault.h"

typedef enum {
  REFUSAL_INTERNAL,          /* our own mistake: 500 */
  REFUSAL_BUSY,              /* the store is full, read only or away; try later: 503 */
  REFUSAL_INVALID,           /* a field is wrong in a way without a code of its own */
  REFUSAL_KEY_MISSING,       /* no key */
  REFUSAL_KEY_SCHEME,        /* Authorization is not "Bearer KEY" */
  REFUSAL_KEY_FORM,          /* what stands there cannot be a key of this dialect */
  REFUSAL_KEY_INVALID,       /* unknown, revoked or expired key */
  REFUSAL_FORBIDDEN,         /* the key's scopes do not allow it */
  REFUSAL_CREDITS,           /* the balance is too small */
  REFUSAL_RATE,              /* too many requests or too many unfinished jobs */
  REFUSAL_NOT_FOUND,         /* no such path, job or thing */
  REFUSAL_METHOD,            /* the path does not know the method */
  REFUSAL_CONFLICT,          /* it has ended already; the idempotency key was used for something else */
  REFUSAL_LENGTH,            /* a body without a length where one is needed: 411 */
  REFUSAL_TOO_LARGE,         /* the body is larger than allowed: 413 */
  REFUSAL_CONTENT_TYPE,      /* the body's type is not one that is understood: 415 */
  REFUSAL_PICTURE_MISSING,   /* neither picture nor character */
  REFUSAL_PICTURE_FORMAT,    /* not a PNG, JPEG or WebP */
  REFUSAL_PICTURE_TOO_LARGE, /* bytes or pixels */
  REFUSAL_PICTURE_BROKEN,    /* cannot be decoded */
  REFUSAL_VIDEO_MISSING,     /* neither video nor scene */
  REFUSAL_VIDEO_FORMAT,      /* not MP4, MOV, WebM, AVI or MKV */
  REFUSAL_VIDEO_TOO_LONG,
  REFUSAL_VIDEO_TOO_LARGE, /* bytes */
  REFUSAL_VIDEO_SIZE,      /* more pixels than allowed */
  REFUSAL_VIDEO_TOO_SMALL, /* too short, or too few pixels */
  REFUSAL_VIDEO_BROKEN,    /* cannot be decoded */
  REFUSAL_URL,             /* not a URL we may fetch, or it cannot be fetched; the message says which */
  REFUSAL_CHARACTER,       /* no such character (of this account) */
  REFUSAL_CHARACTER_NOT_READY,
  REFUSAL_SCENE, /* no such scene (of this account) */
  REFUSAL_SCENE_NOT_READY,
  REFUSAL_TEMPLATE,        /* no such template */
  REFUSAL_BACKGROUND,      /* unknown background mode */
  REFUSAL_MODEL,           /* unknown model, or another than the scene's */
  REFUSAL_MAPPING,         /* character_mapping is not JSON */
  REFUSAL_FAST,            /* fast mode is switched off */
  REFUSAL_PICTURES_FEW,    /* fewer pictures than a Training (or a Character) needs */
  REFUSAL_PICTURES_MANY,   /* more pictures than are taken */
  REFUSAL_URL_FORM,        /* not an http or https URL at all */
  REFUSAL_TRIGGER,         /* a trigger word that cannot be one */
  REFUSAL_NOT_TRAINED,     /* no LoRA: never trained, still training, or failed */
  REFUSAL_PROMPT,          /* no prompt, or one that is too long */
  REFUSAL_ASPECT,          /* an aspect ratio that is not offered */
  REFUSAL_MODEL_MISSING,   /* no model named where one is needed */
  REFUSAL_TASK,            /* no such task */
  REFUSAL_TASK_FOREIGN,    /* a task of another account */
  REFUSAL_RESULT,          /* a task has no result: not yet, not ever, or kept no longer */
  REFUSAL_TRAINER,         /* nothing here can train */
  REFUSAL_JSON,            /* a body that is not JSON */
  REFUSAL_VARIABLE,        /* a template's variable: unknown, missing, of another kind, too long */
  REFUSAL_TEMPLATE_BROKEN, /* the template itself cannot be used */
  REFUSAL_UNPRICED,        /* a combination that has no price */
  REFUSAL_DAY,             /* the account's requests of this day are used up */
  REFUSAL_NOBODY,          /* nobody is seen where somebody is needed (jobs) */
  REFUSAL_DIVERGED,        /* the loss of a Training broke (jobs) */
  REFUSAL_MEMORY,          /* a Training or Generation needs more memory than there is (jobs) */
  REFUSAL_FAILED,          /* the engine failed three times (jobs) */
} Refusal;

#define REFUSAL (refusal_quark())
GQuark refusal_quark(void);

/* Sets *error and returns FALSE. */
gboolean refuse(GError **error, Refusal why, const char *format, ...) G_GNUC_PRINTF(3, 4);
#define refuse_null(...) (refuse(__VA_ARGS__), NULL)

/* The kind of any error that reaches the surface: a REFUSAL's own; FAULT_STORE is REFUSAL_BUSY, FAULT_NOBODY
 * REFUSAL_NOBODY, every other one REFUSAL_INTERNAL. */
Refusal refusal_of(const GError *error);

/* The name by which a refusal is kept in the tables ("video_too_long") and back; unknown names are
 * REFUSAL_INTERNAL. */
const char *refusal_name(Refusal why);
Refusal refusal_named(const char *name);
