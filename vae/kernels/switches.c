/* Stochastic pooling, expected unpooling and the sum of overlapping windows, in single precision. They compute what
   vae.pooling, vae.decoder and vae.blocks write in PyTorch, for sixteen columns at a time, so that
   only inputs and results go through memory.

   Arrays are contiguous. Notation: T trials, P = p * p positions, K dictionary elements, N = blocks * images columns,
   H hidden units. Threads share the work by trial and element. What is summed over columns is returned for each of
   them, so no digit depends on the number of threads. */
#include "lanes.h"

#define NEVER -1e9f /* vae.pooling._NEVER */

/* The switch network of one trial, and where its blocks are padding. */
typedef struct {
    int P, H;
    const float *hidden_weight, *hidden_bias, *weight, *bias; /* [H, P], [H], [P, H], [P] */
    const uint8_t *padded;                                    /* [P, N] of bytes, or NULL */
} Network;

static inline int columns_at(int64_t start, int64_t N) { return (int)(N - start < LANES ? N - start : LANES); }

/* Sets the lanes to `value` that are padding; `padded` points at the first of them. */
static inline Lanes without(const uint8_t *padded, int n, Lanes columns, float value) {
    for (int j = 0; j < n; j++)
        if (padded[j]) columns[j] = value;
    return columns;
}

/* Reads the blocks x [P] with padding as zeros; returns them, the hidden units [H] and the logits [P]. */
static inline void logits_of(const Network *net, const float *blocks, int64_t stride, int64_t N, int64_t start,
                             Lanes *restrict x, Lanes *restrict hidden, Lanes *restrict logits) {
    int P = net->P, H = net->H, n = columns_at(start, N);
    for (int p = 0; p < P; p++) {
        x[p] = load(blocks + p * stride + start, n);
        if (net->padded) x[p] = without(net->padded + p * N + start, n, x[p], 0.0f);
    }
    for (int h = 0; h < H; h++) {
        Lanes sum = all(net->hidden_bias[h]);
        for (int p = 0; p < P; p++) sum += net->hidden_weight[h * P + p] * x[p];
        hidden[h] = 1.0f - 2.0f / (1.0f + exponential(2.0f * sum)); /* tanh */
    }
    for (int p = 0; p < P; p++) {
        Lanes sum = all(net->bias[p]);
        for (int h = 0; h < H; h++) sum += net->weight[p * H + h] * hidden[h];
        logits[p] = net->padded ? without(net->padded + p * N + start, n, sum, NEVER) : sum;
    }
}

/* Returns how many of its positions each block has on the map. */
static inline Lanes real_positions(const Network *net, int64_t N, int64_t start) {
    Lanes count = all(net->P);
    for (int p = 0; net->padded && p < net->P; p++)
        for (int j = 0; j < columns_at(start, N); j++) count[j] -= net->padded[p * N + start + j];
    return count;
}

/* blocks [T, P, K, N] to pooled [T, K, N], probabilities [T, P, K, N] and divergence [T, K, N]. */
void pool(int64_t T, int64_t P, int64_t K, int64_t N, int64_t H, int threads, const float *blocks,
          const float *hidden_weight, const float *hidden_bias, const float *weight, const float *bias,
          const uint8_t *padded, float *pooled, float *probabilities, float *divergence) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t tk = 0; tk < T * K; tk++) {
        int64_t t = tk / K, first = (t * P * K + tk % K) * N;
        Network net = {P, H, hidden_weight + t * H * P, hidden_bias + t * H, weight + t * P * H, bias + t * P,
                       padded ? padded + t * P * N : NULL};
        Lanes *x = aligned_alloc(sizeof(Lanes), (2 * P + H) * sizeof(Lanes)), *hidden = x + P, *powers = hidden + H;
        for (int64_t start = 0; start < N; start += LANES) {
            int n = columns_at(start, N);
            logits_of(&net, blocks + first, K * N, N, start, x, hidden, powers);
            Lanes most = powers[0], sum = {0}, value = {0}, entropy = {0};
            for (int p = 1; p < P; p++) most = larger(most, powers[p]);
            for (int p = 0; p < P; p++) {
                Lanes logit = powers[p] - most;
                powers[p] = exponential(logit);
                sum += powers[p];
                value += powers[p] * x[p];
                entropy += powers[p] * logit;
            }
            Lanes share = 1.0f / sum;
            for (int p = 0; p < P; p++) store(probabilities + first + p * K * N + start, powers[p] * share, n);
            store(pooled + tk * N + start, value * share, n);
            /* The sum of eta log eta, with log eta = l - log(sum), minus that under the uniform prior. */
            Lanes prior = real_positions(&net, N, start);
            store(divergence + tk * N + start, entropy * share - logarithm(sum / prior), n);
        }
        free(x);
    }
}

/* The gradients of pool. Those of its results may be NULL, for zeros; to_divergence [T, N] is the same for all elements.
   to_weights [T, K, 2 H P + H + P] holds those of hidden_weight, hidden_bias, weight and bias, one after another. */
void pool_backward(int64_t T, int64_t P, int64_t K, int64_t N, int64_t H, int threads, const float *blocks,
                   const float *hidden_weight, const float *hidden_bias, const float *weight, const float *bias,
                   const uint8_t *padded, const float *probabilities, const float *to_pooled,
                   const float *to_probabilities, const float *to_divergence, float *to_blocks, float *to_weights) {
    int64_t size = 2 * H * P + H + P;
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t tk = 0; tk < T * K; tk++) {
        int64_t t = tk / K, first = (t * P * K + tk % K) * N;
        Network net = {P, H, hidden_weight + t * H * P, hidden_bias + t * H, weight + t * P * H, bias + t * P,
                       padded ? padded + t * P * N : NULL};
        Lanes *x = aligned_alloc(sizeof(Lanes), (4 * P + 2 * H + size) * sizeof(Lanes)), *eta = x + P, *grad = eta + P;
        Lanes *hidden = grad + P, *to_hidden = hidden + H, *logits = to_hidden + H, *of_hidden_weight = logits + P;
        Lanes *of_hidden_bias = of_hidden_weight + H * P, *of_weight = of_hidden_bias + H, *of_bias = of_weight + P * H;
        for (int64_t i = 0; i < size; i++) of_hidden_weight[i] = (Lanes){0};
        for (int64_t start = 0; start < N; start += LANES) {
            int n = columns_at(start, N);
            logits_of(&net, blocks + first, K * N, N, start, x, hidden, logits);
            Lanes pooled = {0}, divergence = {0}, mean = {0};
            if (to_pooled) pooled = load(to_pooled + tk * N + start, n);
            if (to_divergence) divergence = load(to_divergence + t * N + start, n);
            /* The sum of eta log eta has the gradient eta (l - sum of eta l): that of eta l with l held fixed. */
            for (int p = 0; p < P; p++) {
                eta[p] = load(probabilities + first + p * K * N + start, n);
                grad[p] = x[p] * pooled + logits[p] * divergence;
                if (to_probabilities) grad[p] += load(to_probabilities + first + p * K * N + start, n);
                mean += eta[p] * grad[p];
            }
            for (int p = 0; p < P; p++) {
                grad[p] = eta[p] * (grad[p] - mean);
                of_bias[p] += grad[p];
                for (int h = 0; h < H; h++) of_weight[p * H + h] += grad[p] * hidden[h];
            }
            for (int h = 0; h < H; h++) {
                Lanes sum = {0};
                for (int p = 0; p < P; p++) sum += net.weight[p * H + h] * grad[p];
                to_hidden[h] = sum * (1.0f - hidden[h] * hidden[h]);
                of_hidden_bias[h] += to_hidden[h];
                for (int p = 0; p < P; p++) of_hidden_weight[h * P + p] += to_hidden[h] * x[p];
            }
            for (int p = 0; p < P; p++) {
                Lanes sum = eta[p] * pooled;
                for (int h = 0; h < H; h++) sum += net.hidden_weight[h * P + p] * to_hidden[h];
                if (net.padded) sum = without(net.padded + p * N + start, n, sum, 0.0f);
                store(to_blocks + first + p * K * N + start, sum, n);
            }
        }
        for (int64_t i = 0; i < size; i++) to_weights[tk * size + i] = total(of_hidden_weight[i]);
        free(x);
    }
}

/* eta [T, P, K, N], values [T, K, N] and symmetric gram [T, K, P, P] to placed [T, P, K, N] and spread [T, K, N]. */
void unpool(int64_t T, int64_t P, int64_t K, int64_t N, int threads, const float *eta, const float *values,
            const float *gram, float *placed, float *spread) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t tk = 0; tk < T * K; tk++) {
        int64_t first = (tk / K * P * K + tk % K) * N;
        Lanes *own = aligned_alloc(sizeof(Lanes), P * sizeof(Lanes));
        for (int64_t start = 0; start < N; start += LANES) {
            int n = columns_at(start, N);
            Lanes value = load(values + tk * N + start, n), variance = all(gram[tk * P * P]);
            for (int p = 0; p < P; p++) {
                own[p] = load(eta + first + p * K * N + start, n);
                store(placed + first + p * K * N + start, own[p] * value, n);
            }
            for (int p = 0; p < P; p++) {
                Lanes product = {0};
                for (int q = 0; q < P; q++) product += gram[(tk * P + p) * P + q] * own[q];
                variance -= own[p] * product;
            }
            store(spread + tk * N + start, value * value * variance, n);
        }
        free(own);
    }
}

/* The gradients of unpool, in the shapes of its inputs. to_spread [T, N] is the same for all elements. */
void unpool_backward(int64_t T, int64_t P, int64_t K, int64_t N, int threads, const float *eta, const float *values,
                     const float *gram, const float *to_placed, const float *to_spread, float *to_eta,
                     float *to_values, float *to_gram) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t tk = 0; tk < T * K; tk++) {
        int64_t first = (tk / K * P * K + tk % K) * N;
        Lanes *own = aligned_alloc(sizeof(Lanes), (P + P * P) * sizeof(Lanes)), *sums = own + P, norm = {0};
        for (int64_t i = 0; i < P * P; i++) sums[i] = (Lanes){0};
        for (int64_t start = 0; start < N; start += LANES) {
            int n = columns_at(start, N);
            Lanes value = load(values + tk * N + start, n), weight = value * load(to_spread + tk / K * N + start, n);
            Lanes to_value = {0}, variance = all(gram[tk * P * P]), squared = weight * value;
            for (int p = 0; p < P; p++) own[p] = load(eta + first + p * K * N + start, n);
            for (int p = 0; p < P; p++) {
                Lanes product = {0}, weighed = squared * own[p];
                for (int q = 0; q < P; q++) product += gram[(tk * P + p) * P + q] * own[q];
                for (int q = 0; q <= p; q++) sums[p * P + q] -= weighed * own[q];
                variance -= own[p] * product;
                Lanes placed = load(to_placed + first + p * K * N + start, n);
                to_value += placed * own[p];
                store(to_eta + first + p * K * N + start, placed * value - 2.0f * squared * product, n);
            }
            norm += squared;
            store(to_values + tk * N + start, to_value + 2.0f * weight * variance, n);
        }
        for (int p = 0; p < P; p++)
            for (int q = 0; q <= p; q++)
                to_gram[(tk * P + p) * P + q] = to_gram[(tk * P + q) * P + p] = total(sums[p * P + q]);
        to_gram[tk * P * P] += total(norm);
        free(own);
    }
}

/* windows [C, size, size, count, count, B] to maps [C, side, side, B]: each value of a map is the sum of what the
   windows have at its place, where they lie `stride` apart. */
void overlap_add(int64_t C, int64_t size, int64_t stride, int64_t count, int64_t side, int64_t B, int threads,
                 const float *windows, float *maps) {
#pragma omp parallel for num_threads(threads) schedule(static)
    for (int64_t row = 0; row < C * side; row++) {
        int64_t c = row / side, y = row % side, top = y < size ? 0 : (y - size) / stride + 1;
        int64_t bottom = y / stride < count ? y / stride : count - 1;
        for (int64_t x = 0; x < side; x++) {
            int64_t left = x < size ? 0 : (x - size) / stride + 1, right = x / stride < count ? x / stride : count - 1;
            for (int64_t start = 0; start < B; start += LANES) {
                int n = columns_at(start, B);
                Lanes sum = {0};
                for (int64_t i = top; i <= bottom; i++)
                    for (int64_t j = left; j <= right; j++) {
                        int64_t place = (c * size + y - stride * i) * size + x - stride * j;
                        sum += load(windows + ((place * count + i) * count + j) * B + start, n);
                    }
                store(maps + (row * side + x) * B + start, sum, n);
            }
        }
    }
}
