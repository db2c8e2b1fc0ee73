/* The face of a person whose pose is known: 468 points of a mesh (Kartynnik et al. 2019), or 478 with lips
 * and eyes refined and ten points on the irises (Grishchenko et al., Attention Mesh, 2020). The numbering is
 * MediaPipe's canonical face.
 *
 * A reader is not for two threads at once. */
#pragma once
#include "perception/region.h"

#define FACE_MESH 468
#define FACE_POINTS 478

typedef struct {
  gboolean found;              /* the rest means nothing where it is FALSE */
  float score;                 /* probability that this is a face */
  int count;                   /* FACE_MESH or FACE_POINTS */
  float point[FACE_POINTS][3]; /* pixels; z in the same unit, smaller is nearer */
  Region region;               /* the crop that was looked at */
} Face;

typedef struct FaceReader FaceReader;

/* attention: 478 points, about four times as slow. FAULT_NETWORK. */
FaceReader *face_reader_new(gboolean attention, const char *models, GError **error);
void face_reader_free(FaceReader *reader);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(FaceReader, face_reader_free)

/* previous: the same person's face in the frame before, or NULL. */
gboolean face_read(FaceReader *reader, const Image *rgb, const Pose *pose, const Face *previous, Face *face,
                   GError **error);
