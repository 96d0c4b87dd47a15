/* table.c - every data format, by name. */
#include "core/data/data.h"

extern const struct data_ops data_npy, data_npz, data_idx, data_folder, data_sinusoid, data_glyphs,
    data_tabular;

const struct data_ops *const data_table[] = {
    &data_npy,      &data_npz,    &data_idx,     &data_folder,
    &data_sinusoid, &data_glyphs, &data_tabular, NULL,
};
