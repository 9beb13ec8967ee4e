/* Conversions between the types of elements, each rounded to the nearest, to even from the middle. */
#include "simulation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float float_of_half(uint16_t half)
{
    _Float16 value;
    memcpy(&value, &half, sizeof value);
    return (float)value;
}

uint16_t half_of_float(float value)
{
    _Float16 half = (_Float16)value;
    uint16_t bits;
    memcpy(&bits, &half, sizeof bits);
    return bits;
}

float float_of_bfloat(uint16_t bfloat)
{
    return float_of((uint32_t)bfloat << 16);
}

uint16_t bfloat_of_float(float value)
{
    uint32_t bits = bits_of(value);
    if (value != value) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

float tf32_of_float(float value)
{
    uint32_t bits = bits_of(value);
    if (value != value) return value;
    return float_of((bits + 0xfff + (bits >> 13 & 1)) & ~(uint32_t)0x1fff);
}

size_t bytes_of(cudaDataType type)
{
    switch ((int)type) {
    case CUDA_R_32F: return 4;
    case CUDA_R_64F: return 8;
    case CUDA_R_16F:
    case CUDA_R_16BF: return 2;
    default: return 0;
    }
}

double number_at(const void *numbers, cudaDataType type, size_t index)
{
    switch ((int)type) {
    case CUDA_R_32F: return ((const float *)numbers)[index];
    case CUDA_R_64F: return ((const double *)numbers)[index];
    case CUDA_R_16F: return float_of_half(((const uint16_t *)numbers)[index]);
    default: return float_of_bfloat(((const uint16_t *)numbers)[index]);
    }
}

void number_put(void *numbers, cudaDataType type, size_t index, double value)
{
    switch ((int)type) {
    case CUDA_R_32F: ((float *)numbers)[index] = (float)value; break;
    case CUDA_R_64F: ((double *)numbers)[index] = value; break;
    case CUDA_R_16F: ((uint16_t *)numbers)[index] = half_of_float((float)value); break;
    default: ((uint16_t *)numbers)[index] = bfloat_of_float((float)value); break;
    }
}

void *need(size_t bytes)
{
    void *memory = malloc(bytes ? bytes : 1);
    if (!memory) {
        fprintf(stderr, "simcuda: no memory for %zu bytes of its own\n", bytes);
        abort();
    }
    return memory;
}
