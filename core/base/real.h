/* real.h - the number type of the mathematics: float, or double under -DREAL64. */
#ifndef CORE_BASE_REAL_H
#define CORE_BASE_REAL_H

#include <float.h>

#ifdef REAL64
typedef double real;
#define REAL_EPS DBL_EPSILON
#define REAL_MIN DBL_MIN
#define REAL_NAME "float64"
#else
typedef float real;
#define REAL_EPS FLT_EPSILON
#define REAL_MIN FLT_MIN
#define REAL_NAME "float32"
#endif

#endif
