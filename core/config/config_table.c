/* config_table.c - one row per key. The row parses, checks, prints and documents the key. */
#include "core/config/config_internal.h"

#include <string.h>

#define ONE(type, field, doc)                                                                      \
    {                                                                                              \
#field, 0, NULL, offsetof(struct config, field), sizeof(struct type), 0, doc               \
    }
#define MANY(type, name, untitled, field, count, max, doc)                                         \
    {                                                                                              \
        name, max, untitled, offsetof(struct config, field), sizeof(struct type),                  \
            offsetof(struct config, count), doc                                                    \
    }

const struct config_section config_sections[] = {
    ONE(run_config, run, "the run as a whole"),
    ONE(cluster_config, cluster, "ranks, threads and their limits"),
    MANY(data_config, "data", NULL, data, n_data, CONFIG_DATA_MAX, "a data set, by name"),
    MANY(model_config, "model", "model", models, n_models, CONFIG_MODEL_MAX,
         "a network; if there are several, they have names and stages choose one"),
    MANY(stage_config, "stage", NULL, stages, n_stages, CONFIG_STAGE_MAX,
         "the training stages, in the order in which they run; at least one"),
    ONE(evaluate_config, evaluate, "evaluation: few-shot on fixed episodes, or on whole data sets"),
    ONE(checkpoint_config, checkpoint, "when checkpoints are saved"),
    ONE(progress_config, progress, "what the run prints while it goes on"),
    ONE(metrics_config, metrics, "the live stream to observers"),
};

_Static_assert(sizeof config_sections / sizeof *config_sections == CONFIG_SECTIONS, "count");

#define RUN(f) offsetof(struct run_config, f)
#define CLUSTER(f) offsetof(struct cluster_config, f)
#define DATA(f) offsetof(struct data_config, f)
#define MODEL(f) offsetof(struct model_config, f)
#define STAGE(f) offsetof(struct stage_config, f)
#define EVALUATE(f) offsetof(struct evaluate_config, f)
#define CHECKPOINT(f) offsetof(struct checkpoint_config, f)
#define PROGRESS(f) offsetof(struct progress_config, f)
#define METRICS(f) offsetof(struct metrics_config, f)

#define LENGTH CONFIG_LENGTH
#define SEED_MAX 9007199254740992.0 /* 2^53 */
#define MAY_CHANGE true             /* on --resume */

/* clang-format off */
const struct config_key config_keys[] = {
{"run", "name", CONFIG_STRING, "run", 1, 200, NULL, RUN(name),
 "name of the run in metrics and messages", MAY_CHANGE},
{"run", "seed", CONFIG_INT, "1", 0, SEED_MAX, NULL, RUN(seed),
 "seed of every random number: the same seed gives the same bits"},
{"run", "directory", CONFIG_STRING, "", 0, LENGTH, NULL, RUN(directory),
 "directory of checkpoints, metrics and the manifest; empty: runs/NAME", MAY_CHANGE},

{"cluster", "threads", CONFIG_INT, "0", 0, 1024, NULL, CLUSTER(threads),
 "compute threads per rank; 0: the cores this rank may use, shared among the workers of a host", MAY_CHANGE},
{"cluster", "schedule", CONFIG_STRING, "dynamic", 0, LENGTH, "dynamic|static", CLUSTER(schedule),
 "how tasks are given to workers; dynamic: one by one, as they finish; static: an equal share each", MAY_CHANGE},
{"cluster", "lease", CONFIG_REAL, "10", 0.1, 86400, NULL, CLUSTER(lease),
 "seconds of silence after which a rank counts as lost", MAY_CHANGE},
{"cluster", "start_limit", CONFIG_REAL, "120", 1, 86400, NULL, CLUSTER(start_limit),
 "seconds in which a rank must start, MPI included; the run starts without ranks that are late", MAY_CHANGE},
{"cluster", "task_limit", CONFIG_REAL, "3600", 0.1, 1e7, NULL, CLUSTER(task_limit),
 "seconds that a rank may take for its tasks, as long as no other rank has finished or the usual time is unknown", MAY_CHANGE},
{"cluster", "audit", CONFIG_REAL, "0", 0, 1, NULL, CLUSTER(audit),
 "share of a training round's tasks that a second rank does too, on another host if there is one: results are compared bit by bit, "
 "and a rank that computes wrongly is left out before the step", MAY_CHANGE},
{"cluster", "max_failed", CONFIG_REAL, "0.5", 0, 1, NULL, CLUSTER(max_failed),
 "largest share of a round's tasks that may fail (not finite, or too large); above it the run stops before the step", MAY_CHANGE},
{"cluster", "max_restarts", CONFIG_INT, "3", 0, 1000, NULL, CLUSTER(max_restarts),
 "launch/run: most restarts of a lost run from its last checkpoint", MAY_CHANGE},
{"cluster", "memory", CONFIG_INT, "1024", 0, 1 << 20, NULL, CLUSTER(memory),
 "MiB per thread for activations of inner steps; what does not fit is recomputed, to the same bits", MAY_CHANGE},

{"data", "format", CONFIG_STRING, "glyphs", 1, LENGTH, NULL, DATA(format),
 "how the samples are stored or made (metaloop list formats)"},
{"data", "path", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(path),
 "file or directory of the samples"},
{"data", "label", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(label),
 "table: column of the classes"},
{"data", "labels", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(labels),
 "file of the labels, if the format stores them separately"},
{"data", "names", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(names),
 "file of the class names, one per line, if the format has none"},
{"data", "inputs", CONFIG_LIST, "", 0, 0, NULL, DATA(inputs),
 "table: columns of the inputs, or patterns such as \"c*\"; empty: all that no other key names"},
{"data", "targets", CONFIG_LIST, "", 0, 0, NULL, DATA(targets),
 "table: columns to predict, or patterns; what is missing in them is a hole"},
{"data", "task", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(task),
 "table: column that tells tasks apart; support and query are drawn within a task"},
{"data", "time", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(time),
 "table: column that orders the rows of a task; the support is then before the query"},
{"data", "missing", CONFIG_STRING, "refuse", 0, LENGTH, "refuse|mean", DATA(missing),
 "table: inputs that are missing; mean: they have the mean that stage.normalize subtracts"},
{"data", "window", CONFIG_INT, "1", 1, 4096, NULL, DATA(window),
 "table: rows of a sample, the last ones of its task; more than 1: a series of [time, columns]"},
{"data", "least", CONFIG_INT, "0", 0, INT32_MAX, NULL, DATA(least),
 "leave out classes or tasks with fewer samples; 0: none is left out"},
{"data", "classes", CONFIG_LIST, "", 0, 0, NULL, DATA(classes),
 "files of class names, one per line, that select classes; empty: all classes"},
{"data", "first", CONFIG_INT, "0", 0, 1 << 20, NULL, DATA(first),
 "number of classes to use, the first ones; 0: all"},
{"data", "subset", CONFIG_INT, "0", 0, INT32_MAX, NULL, DATA(subset),
 "number of images to use, drawn at random by seed, regardless of labels; 0: all"},
{"data", "resize", CONFIG_INT, "0", 0, 4096, NULL, DATA(resize),
 "pixels per side after resizing; 0: as stored"},
{"data", "crop", CONFIG_STRING, "none", 0, LENGTH, "none|centre|fit", DATA(crop),
 "how resize makes a square: none stretches; centre keeps the centred square of the shorter side; fit keeps all, beside background"},
{"data", "channels", CONFIG_INT, "0", 0, 3, NULL, DATA(channels),
 "1: grey (luma of colours); 3: colour (grey repeated); 0: as stored, all images alike"},
{"data", "background", CONFIG_REAL, "1", 0, 1, NULL, DATA(background),
 "grey level behind transparent pixels and beside fitted images; 0: black; 1: white"},
{"data", "margin", CONFIG_INT, "0", 0, 2048, NULL, DATA(margin),
 "black pixels added on each side after resizing"},
{"data", "thicken", CONFIG_REAL, "0", 0, 8, NULL, DATA(thicken),
 "pixels by which bright strokes grow on each side"},
{"data", "rotate", CONFIG_REAL, "0", -360, 360, NULL, DATA(rotate),
 "degrees by which every image is rotated, counter-clockwise"},
{"data", "invert", CONFIG_BOOL, "false", 0, 0, NULL, DATA(invert),
 "swap black and white"},
{"data", "texture", CONFIG_REAL, "0", 0, 1, NULL, DATA(texture),
 "strength of a random texture and grain on the background, different for each image"},
{"data", "rotations", CONFIG_STRING, "none", 0, LENGTH, "none|draw|classes", DATA(rotations),
 "rotations by quarter turns; draw: a random one for each class of a task; classes: each makes a class of its own"},
{"data", "domain", CONFIG_STRING, "", 0, LENGTH, NULL, DATA(domain),
 "if each target has its own model: the data section whose model is measured on this one; empty: this section"},
{"data", "style", CONFIG_STRING, "ink", 1, LENGTH, NULL, DATA(style),
 "glyphs: style of the strokes, which makes the domain"},
{"data", "size", CONFIG_INT, "28", 12, 128, NULL, DATA(size),
 "glyphs: pixels per side"},
{"data", "seed", CONFIG_INT, "1", 0, SEED_MAX, NULL, DATA(seed),
 "generators: selects the endless set of samples; other formats: selects subset and textures"},
{"data", "amplitude_min", CONFIG_REAL, "0.1", -1e6, 1e6, NULL, DATA(amplitude_min),
 "sinusoid: smallest amplitude"},
{"data", "amplitude_max", CONFIG_REAL, "5", -1e6, 1e6, NULL, DATA(amplitude_max),
 "sinusoid: largest amplitude"},
{"data", "phase_min", CONFIG_REAL, "0", -1e6, 1e6, NULL, DATA(phase_min),
 "sinusoid: smallest phase, radians"},
{"data", "phase_max", CONFIG_REAL, "3.14159265358979", -1e6, 1e6, NULL, DATA(phase_max),
 "sinusoid: largest phase, radians"},
{"data", "x_min", CONFIG_REAL, "-5", -1e6, 1e6, NULL, DATA(x_min),
 "sinusoid: smallest input"},
{"data", "x_max", CONFIG_REAL, "5", -1e6, 1e6, NULL, DATA(x_max),
 "sinusoid: largest input"},
{"data", "grid", CONFIG_INT, "100", 1, 1000000, NULL, DATA(grid),
 "sinusoid: number of evenly spaced inputs on which evaluation measures"},

{"model", "type", CONFIG_STRING, "conv4", 0, LENGTH, "mlp|conv4|lenet|resnet12|layers",
 MODEL(type),
 "kind of network (metaloop list models)"},
{"model", "widths", CONFIG_WHOLES, "40,40", 1, 1000000, NULL, MODEL(widths),
 "mlp: features of each hidden layer"},
{"model", "activation", CONFIG_STRING, "relu", 0, LENGTH, "relu|tanh|gelu|silu", MODEL(activation),
 "mlp: nonlinearity after each hidden layer"},
{"model", "dropout", CONFIG_INT, "0", 0, 99, NULL, MODEL(dropout),
 "mlp: percentage of each hidden layer's features that are dropped in training"},
{"model", "input_dropout", CONFIG_INT, "0", 0, 99, NULL, MODEL(input_dropout),
 "mlp: percentage of the inputs that are dropped in training"},
{"model", "filters", CONFIG_INT, "64", 1, 4096, NULL, MODEL(filters),
 "conv4: channels of each block; resnet12: channels of the first block (the others have 2.5, 5 and 10 times as many)"},
{"model", "reduction", CONFIG_STRING, "stride", 0, LENGTH, "stride|maxpool", MODEL(reduction),
 "conv4: how each block halves the image"},
{"model", "pool", CONFIG_STRING, "mean", 0, LENGTH, "mean|flatten", MODEL(pool),
 "conv4: what comes before the head"},
{"model", "norm", CONFIG_STRING, "batch", 0, LENGTH, "batch|group|layer", MODEL(norm),
 "conv4, resnet12: what is normalised together; batch: a channel over the batch; group: each sample by itself, a group of its channels; layer: each sample by itself, all its channels"},
{"model", "groups", CONFIG_INT, "8", 1, 4096, NULL, MODEL(groups),
 "norm = group: number of groups, which divides the channels"},
{"model", "statistics", CONFIG_STRING, "auto", 0, LENGTH, "auto|batch|running", MODEL(statistics),
 "batch normalisation in evaluation: by the batch's statistics or by running ones; auto: running on whole sets, batch in few-shot stages"},
{"model", "layers", CONFIG_LIST, "", 0, 0, NULL, MODEL(layers),
 "layers: one string per layer, such as \"conv filters=64 kernel=3 stride=2 pad=1\", ..., \"head\""},

{"stage", "method", CONFIG_STRING, "maml", 1, LENGTH, NULL, STAGE(method),
 "method that the stage trains with (metaloop list methods)"},
{"stage", "data", CONFIG_STRING, NULL, 1, LENGTH, NULL, STAGE(data),
 "data section to train on"},
{"stage", "model", CONFIG_STRING, "", 0, LENGTH, NULL, STAGE(model),
 "model section to train; empty: the first"},
{"stage", "loss", CONFIG_STRING, "", 0, LENGTH, "|cross_entropy|mse|mae|huber|quantile|poisson|bce", STAGE(loss),
 "loss (metaloop list losses); empty: cross_entropy for classes, mse for targets"},
{"stage", "normalize", CONFIG_LIST, "", 0, 0, NULL, STAGE(normalize),
 "inputs minus mean, over deviation, for each channel or column: none, computed (of the data section to train on), or the means and then the deviations; empty: as in the stage it starts from"},
{"stage", "normalize_targets", CONFIG_LIST, "", 0, 0, NULL, STAGE(normalize_targets),
 "the same for the targets of regression"},
{"stage", "way", CONFIG_INT, "5", 1, 4096, NULL, STAGE(way),
 "classes per task; regression: 1"},
{"stage", "shot", CONFIG_INT, "1", 1, 4096, NULL, STAGE(shot),
 "support samples per class, to which the model adapts"},
{"stage", "query", CONFIG_INT, "15", 1, 4096, NULL, STAGE(query),
 "query samples per class, on which the adapted model is measured"},
{"stage", "tasks", CONFIG_INT, "32", 1, 1 << 20, NULL, STAGE(tasks),
 "tasks per round, over all ranks"},
{"stage", "inner_steps", CONFIG_INT, "1", 1, 100000, NULL, STAGE(inner_steps),
 "gradient steps of the inner loop"},
{"stage", "inner_rate", CONFIG_REAL, "0.4", 0, 100, NULL, STAGE(inner_rate),
 "step size of the inner loop"},
{"stage", "rounds", CONFIG_INT, "1000", 1, 1000000000, NULL, STAGE(rounds),
 "number of rounds (outer steps)", MAY_CHANGE},
{"stage", "optimizer", CONFIG_STRING, "adam", 0, LENGTH, "sgd|adam", STAGE(optimizer),
 "optimizer of the outer loop"},
{"stage", "rate", CONFIG_REAL, "0.001", 0, 100, NULL, STAGE(rate),
 "step size of the outer loop, before its schedule", MAY_CHANGE},
{"stage", "momentum", CONFIG_REAL, "0.9", 0, 0.9999999, NULL, STAGE(momentum),
 "sgd: share of the previous step that is kept"},
{"stage", "beta1", CONFIG_REAL, "-1", -1, 0.9999999, NULL, STAGE(beta1),
 "adam: decay of the mean of gradients; -1: 0.5 if there is a discriminator, otherwise 0.9"},
{"stage", "beta2", CONFIG_REAL, "0.999", 0, 0.9999999, NULL, STAGE(beta2),
 "adam: decay of the mean of squared gradients"},
{"stage", "epsilon", CONFIG_REAL, "1e-8", 1e-30, 1, NULL, STAGE(epsilon),
 "adam: number added to the denominator"},
{"stage", "weight_decay", CONFIG_REAL, "0", 0, 1, NULL, STAGE(weight_decay),
 "share of each trained parameter that is added to its gradient", MAY_CHANGE},
{"stage", "clip", CONFIG_REAL, "0", 0, 1e6, NULL, STAGE(clip),
 "largest Euclidean norm of the outer gradient; 0: no limit", MAY_CHANGE},
{"stage", "schedule", CONFIG_STRING, "constant", 0, LENGTH, "constant|cosine|step", STAGE(schedule),
 "how the rate changes over the rounds", MAY_CHANGE},
{"stage", "rate_end", CONFIG_REAL, "0", 0, 100, NULL, STAGE(rate_end),
 "cosine: rate of the last round", MAY_CHANGE},
{"stage", "step_every", CONFIG_INT, "1000", 1, 1000000000, NULL, STAGE(step_every),
 "step: rounds between changes of the rate", MAY_CHANGE},
{"stage", "step_factor", CONFIG_REAL, "0.5", 0, 1, NULL, STAGE(step_factor),
 "step: factor by which the rate changes", MAY_CHANGE},
{"stage", "start", CONFIG_STRING, "", 0, LENGTH, NULL, STAGE(start),
 "stage whose result this one starts from; empty: the previous stage"},
{"stage", "init", CONFIG_STRING, "", 0, LENGTH, NULL, STAGE(init),
 "file of parameters that this stage starts from: a checkpoint, or a state dict of PyTorch (.safetensors); empty: none"},
{"stage", "init_map", CONFIG_LIST, "", 0, 0, NULL, STAGE(init_map),
 "names in that file and in the network, such as \"features.0=conv1\", of modules or tensors; empty: equal names, or if none is equal, equal order and shapes"},
{"stage", "init_strict", CONFIG_BOOL, "true", 0, 0, NULL, STAGE(init_strict),
 "every parameter of the network must be in that file (a head of another size is drawn anew); false: what is missing is drawn anew"},
{"stage", "anchor", CONFIG_STRING, "", 0, LENGTH, NULL, STAGE(anchor),
 "stage whose frozen result this one uses: teacher, old model or source encoder; empty: the previous stage"},
{"stage", "target", CONFIG_LIST, "", 0, 0, NULL, STAGE(target),
 "data section to adapt to, without its labels; several: each gets its own model, if the method allows it"},
{"stage", "batch", CONFIG_INT, "128", 1, 65536, NULL, STAGE(batch),
 "samples per batch; methods without few-shot tasks take `tasks` batches per round"},
{"stage", "target_batch", CONFIG_INT, "0", 0, 65536, NULL, STAGE(target_batch),
 "samples per batch of the target; 0: the same as batch"},
{"stage", "batches", CONFIG_INT, "1", 1, 65536, NULL, STAGE(batches),
 "batches per round, in addition to its few-shot tasks"},
{"stage", "steps", CONFIG_INT, "100", 1, 32767, NULL, STAGE(steps),
 "steps per target and round, if there are several targets"},
{"stage", "weight", CONFIG_REAL, "1", 0, 1e6, NULL, STAGE(weight),
 "weight of the method's own term, which is added to the loss of the labels"},
{"stage", "weight_end", CONFIG_REAL, "1", 0, 1e6, NULL, STAGE(weight_end),
 "weight in the last round, if weight_schedule is linear"},
{"stage", "weight_schedule", CONFIG_STRING, "constant", 0, LENGTH, "constant|rise|linear", STAGE(weight_schedule),
 "how the weight changes; rise: times 2 / (1 + exp(-10 p)) - 1 after a share p of the rounds; linear: to weight_end"},
{"stage", "layers", CONFIG_LIST, "", 0, 0, NULL, STAGE(layers),
 "layers whose outputs are compared or guided; empty: the head's input"},
{"stage", "temperature", CONFIG_REAL, "2", 0.01, 1000, NULL, STAGE(temperature),
 "temperature: outputs are divided by it before the softmax"},
{"stage", "body_rate", CONFIG_REAL, "1", 0, 1000, NULL, STAGE(body_rate),
 "factor of the body's rate; 0: the body is frozen"},
{"stage", "warm_up", CONFIG_INT, "0", 0, 1000000000, NULL, STAGE(warm_up),
 "number of rounds at the start in which only the new head learns"},
{"stage", "discriminator", CONFIG_WHOLES, "500,500", 1, 65536, NULL, STAGE(discriminator),
 "features of the discriminator's hidden layers"},
{"stage", "discriminator_rate", CONFIG_REAL, "0", 0, 100, NULL, STAGE(discriminator_rate),
 "step size of the discriminator; 0: the same as rate", MAY_CHANGE},
{"stage", "guard", CONFIG_STRING, "best", 0, LENGTH, "best|last|off", STAGE(guard),
 "encoder that the stage ends with; best: the one with the best score, which needs no labels; last: the last one, unless it is unsafe or scores below the source encoder"},
{"stage", "evaluate", CONFIG_LIST, "", 0, 0, NULL, STAGE(evaluate),
 "data sections on which this stage is measured; empty: evaluate.data, or else its targets, or else its data", MAY_CHANGE},
{"stage", "augment_crop", CONFIG_INT, "0", 0, 2048, NULL, STAGE(augment_crop),
 "training: pixels by which an image is moved at most, in each direction, at random; what comes in is mirrored at the edge"},
{"stage", "augment_flip", CONFIG_BOOL, "false", 0, 0, NULL, STAGE(augment_flip),
 "training: swap left and right of an image, every other time at random"},
{"stage", "augment_brightness", CONFIG_REAL, "0", 0, 1, NULL, STAGE(augment_brightness),
 "training: largest random change of the factor 1 by which an image's values are multiplied"},
{"stage", "augment_contrast", CONFIG_REAL, "0", 0, 1, NULL, STAGE(augment_contrast),
 "training: largest random change of the factor 1 by which an image's distances from its mean are multiplied"},
{"stage", "old", CONFIG_LIST, "", 0, 0, NULL, STAGE(old),
 "data sections of the old task, measured with the old head"},

{"evaluate", "data", CONFIG_LIST, "", 0, 0, NULL, EVALUATE(data),
 "data sections to evaluate on; empty: those of the stage", MAY_CHANGE},
{"evaluate", "every", CONFIG_INT, "0", 0, 1000000000, NULL, EVALUATE(every),
 "rounds between evaluations; 0: only at the end", MAY_CHANGE},
{"evaluate", "episodes", CONFIG_INT, "600", 1, 1000000, NULL, EVALUATE(episodes),
 "episodes per evaluation, the same ones each time", MAY_CHANGE},
{"evaluate", "steps", CONFIG_INT, "0", 0, 100000, NULL, EVALUATE(steps),
 "inner steps; 0: as in the stage", MAY_CHANGE},
{"evaluate", "query", CONFIG_INT, "0", 0, 4096, NULL, EVALUATE(query),
 "query samples per class; 0: as in the stage", MAY_CHANGE},
{"evaluate", "batch", CONFIG_INT, "128", 1, 65536, NULL, EVALUATE(batch),
 "whole sets: largest batch; it affects the result only with batch statistics; with others it is at most the stage's batch", MAY_CHANGE},

{"checkpoint", "every", CONFIG_INT, "100", 1, 1000000000, NULL, CHECKPOINT(every),
 "rounds between checkpoints", MAY_CHANGE},
{"checkpoint", "keep", CONFIG_INT, "3", 1, 1000000, NULL, CHECKPOINT(keep),
 "number of checkpoints to keep, the newest ones", MAY_CHANGE},

{"progress", "every", CONFIG_REAL, "10", 0.1, 86400, NULL, PROGRESS(every),
 "seconds between lines of progress, if standard error is not a terminal", MAY_CHANGE},

{"metrics", "endpoint", CONFIG_STRING, "tcp://127.0.0.1:5555", 0, 512, NULL, METRICS(endpoint),
 "address of the live stream, tcp://ADDRESS:PORT; if the port is in use, the run goes on and takes it when it is free; empty: no stream", MAY_CHANGE},
{"metrics", "snapshot", CONFIG_STRING, "", 0, 512, NULL, METRICS(snapshot),
 "address at which late observers get the history; empty: the next port", MAY_CHANGE},
{"metrics", "server_key", CONFIG_STRING, "", 0, LENGTH, NULL, METRICS(server_key),
 "file NAME.secret from metaloop keygen; with it, only observers with an allowed key may watch", MAY_CHANGE},
{"metrics", "allowed", CONFIG_STRING, "", 0, LENGTH, NULL, METRICS(allowed),
 "public keys of observers: a file with one key per line, or a directory of files NAME.public", MAY_CHANGE},
{"metrics", "insecure", CONFIG_BOOL, "false", 0, 0, NULL, METRICS(insecure),
 "allow an address beyond this machine without keys: anybody who reaches it sees the run", MAY_CHANGE},
{0}};
/* clang-format on */

const struct config_section *config_section_find(const char *name)
{
    for (int i = 0; i < CONFIG_SECTIONS; i++)
        if (strcmp(config_sections[i].name, name) == 0)
            return &config_sections[i];
    return NULL;
}

int config_section_count(const struct config_section *s, const struct config *c)
{
    return s->max ? *(const int *)((const char *)c + s->n_offset) : 1;
}

void *config_section_at(const struct config_section *s, const struct config *c, int i)
{
    return (char *)c + s->offset + (size_t)i * s->size;
}
