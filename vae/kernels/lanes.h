/* Vectors of sixteen columns, and the functions of them that the kernels share.

   The vector type is an extension that GCC and Clang have for every processor: they make of it what instructions there
   are. NaN goes through all of these functions, as it does through PyTorch's. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define LANES 16

typedef float Lanes __attribute__((vector_size(4 * LANES)));
typedef int32_t Bits __attribute__((vector_size(4 * LANES)));

static inline Lanes all(float value) { return value - (Lanes){0}; }

/* Returns a where the mask is set, and b elsewhere. */
static inline Lanes where(Bits mask, Lanes a, Lanes b) { return (Lanes)((mask & (Bits)a) | (~mask & (Bits)b)); }

static inline Lanes larger(Lanes a, Lanes b) { return where(a < b, b, a); }

/* exp(x) to single precision. Exactly zero below 2^-126: a padded position is never chosen. */
static inline Lanes exponential(Lanes x) {
    Lanes t = x * 1.44269504088896341f; /* x / log 2 */
    t = where(t < -127.0f, all(-127.0f), t);
    t = where(t > 127.0f, all(127.0f), t);
    const float round = 12582912.0f; /* 1.5 * 2^23: the last digit of what is added to it is a whole number's */
    Lanes whole = (t + round) - round, part = t - whole; /* 2^part is a polynomial, 2^whole an exponent */
    Lanes power = part * 1.5403530e-4f + 1.3333558e-3f;
    power = power * part + 9.6181291e-3f;
    power = power * part + 5.5504109e-2f;
    power = power * part + 2.4022651e-1f;
    power = power * part + 6.9314718e-1f;
    power = power * part + 1.0f;
    return power * (Lanes)((__builtin_convertvector(whole, Bits) + 127) << 23);
}

/* log(x) of normal numbers x >= 1, by log m = 2 artanh((m - 1) / (m + 1)) of the mantissa m in [0.7, 1.4]. */
static inline Lanes logarithm(Lanes x) {
    Bits shifted = (Bits)x - 0x3f3504f3; /* the bits of sqrt(1/2) */
    Lanes exponent = __builtin_convertvector(shifted >> 23, Lanes);
    Lanes mantissa = (Lanes)((Bits)x - (shifted & ~0x7fffff));
    Lanes z = (mantissa - 1.0f) / (mantissa + 1.0f), square = z * z;
    Lanes series = square * 0.11111111f + 0.14285714f;
    series = series * square + 0.2f;
    series = series * square + 0.33333333f;
    series = series * square + 1.0f;
    return 2.0f * z * series + 0.69314718f * exponent;
}

/* Reads n columns that lie together; the other lanes become zero. */
static inline Lanes load(const float *from, int n) {
    Lanes columns = {0};
    if (n == LANES) memcpy(&columns, from, sizeof columns);
    else memcpy(&columns, from, n * sizeof(float));
    return columns;
}

static inline void store(float *to, Lanes columns, int n) {
    if (n == LANES) memcpy(to, &columns, sizeof columns);
    else memcpy(to, &columns, n * sizeof(float));
}

static inline float total(Lanes columns) {
    float sum = 0.0f;
    for (int j = 0; j < LANES; j++) sum += columns[j];
    return sum;
}
