package org.lora4j.io;

import org.lora4j.device.DataType;

/**
 * How a safetensors file stores the elements of a tensor: the format's dtypes under its own names, in its own order, which
 * is also the order of the data in a file, last first.
 *
 * @see <a href="https://github.com/huggingface/safetensors">the format</a>
 */
public enum TensorType {
    /** One byte, 0 or 1. */
    BOOL(8),
    /** Four bits, OCP microscaling. */
    F4(4),
    /** Six bits, OCP microscaling. */
    F6_E2M3(6),
    /** Six bits, OCP microscaling. */
    F6_E3M2(6),
    /** Unsigned byte. */
    U8(8),
    /** Signed byte. */
    I8(8),
    /** Eight bits, five of exponent. */
    F8_E5M2(8),
    /** Eight bits, four of exponent. */
    F8_E4M3(8),
    /** Eight bits of exponent alone. */
    F8_E8M0(8),
    /** Eight bits, four of exponent, no infinities and no negative zero. */
    F8_E4M3FNUZ(8),
    /** Eight bits, five of exponent, no infinities and no negative zero. */
    F8_E5M2FNUZ(8),
    /** Signed 16-bit integer. */
    I16(16),
    /** Unsigned 16-bit integer. */
    U16(16),
    /** IEEE 754 binary16. */
    F16(16),
    /** The upper half of a binary32. */
    BF16(16),
    /** Signed 32-bit integer. */
    I32(32),
    /** Unsigned 32-bit integer. */
    U32(32),
    /** IEEE 754 binary32. */
    F32(32),
    /** Complex of two binary32. */
    C64(64),
    /** IEEE 754 binary64. */
    F64(64),
    /** Signed 64-bit integer. */
    I64(64),
    /** Unsigned 64-bit integer. */
    U64(64);

    private final int bits;

    TensorType(int bits) {
        this.bits = bits;
    }

    /** The size of one element in bits. */
    public int bits() {
        return bits;
    }

    /** Whether elements can be converted to float32: F64, F32, F16 and BF16. Others are listed, and copied as they are. */
    public boolean isFloat() {
        return this == F64 || this == F32 || this == F16 || this == BF16;
    }

    /** The type of the elements of a device's matrices of {@code type}. */
    public static TensorType of(DataType type) {
        return switch (type.name()) { // by name: a device may have types that this class was not compiled with
            case "FLOAT64" -> F64;
            case "FLOAT32" -> F32;
            case "FLOAT16" -> F16;
            case "BFLOAT16" -> BF16;
            default -> throw new IllegalArgumentException(type + " has no counterpart in safetensors");
        };
    }

    /**
     * The bytes of a tensor.
     *
     * @param shape sizes from 0; empty for a scalar
     * @throws ArithmeticException saying why there is no such number: an overflow, a negative size, part of a byte
     */
    long bytes(long[] shape) {
        long n = multiply(elements(shape), bits);
        if (n % 8 != 0) {
            throw new ArithmeticException("it does not end at a whole byte");
        }
        return n / 8;
    }

    static long elements(long[] shape) {
        long n = 1;
        for (long size : shape) {
            if (size < 0) {
                throw new ArithmeticException("a size is negative");
            }
            n = multiply(n, size);
        }
        return n;
    }

    private static long multiply(long a, long b) {
        try {
            return Math.multiplyExact(a, b);
        } catch (ArithmeticException e) {
            throw new ArithmeticException("its size overflows 2^63 - 1");
        }
    }

    /** The bytes of one element, which must be whole. */
    int bytes() {
        return bits / 8;
    }
}
