package org.lora4j.device;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;

import org.lora4j.bindings.cuda.*;

/**
 * The functions of one loaded CUDA runtime. Each checks the code that comes back: a failure names the call, its arguments,
 * the code in the library's words and what was in flight, and is taken off the runtime's own list of errors.
 */
final class Cudart {
    private static final int POINTER_ATTRIBUTES = 256; // bytes, more than the struct has in any version
    private static final int PROPERTIES = 1 << 14; // likewise; the name comes first

    private final MemorySegment runtimeGetVersion;
    private final MemorySegment driverGetVersion;
    private final MemorySegment getDeviceCount;
    private final MemorySegment getDeviceProperties;
    private final MemorySegment deviceGetAttribute;
    private final MemorySegment setDevice;
    private final MemorySegment getErrorName;
    private final MemorySegment getErrorString;
    private final MemorySegment getLastError;
    private final MemorySegment memGetInfo;
    private final MemorySegment malloc;
    private final MemorySegment free;
    private final MemorySegment hostAlloc;
    private final MemorySegment freeHost;
    private final MemorySegment pointerGetAttributes;
    private final MemorySegment memcpyAsync;
    private final MemorySegment memcpy2DAsync;
    private final MemorySegment memsetAsync;
    private final MemorySegment memset2DAsync;
    private final MemorySegment streamCreateWithFlags;
    private final MemorySegment streamSynchronize;
    private final MemorySegment streamDestroy;
    private final MemorySegment eventCreateWithFlags;
    private final MemorySegment eventRecord;
    private final MemorySegment eventSynchronize;
    private final MemorySegment eventDestroy;

    /** @throws UnsatisfiedLinkError naming every function that the library does not export */
    Cudart(SymbolLookup library) {
        Symbols symbols = new Symbols(library);
        runtimeGetVersion = symbols.find("cudaRuntimeGetVersion");
        driverGetVersion = symbols.find("cudaDriverGetVersion");
        getDeviceCount = symbols.find("cudaGetDeviceCount");
        getDeviceProperties = symbols.find("cudaGetDeviceProperties");
        deviceGetAttribute = symbols.find("cudaDeviceGetAttribute");
        setDevice = symbols.find("cudaSetDevice");
        getErrorName = symbols.find("cudaGetErrorName");
        getErrorString = symbols.find("cudaGetErrorString");
        getLastError = symbols.find("cudaGetLastError");
        memGetInfo = symbols.find("cudaMemGetInfo");
        malloc = symbols.find("cudaMalloc");
        free = symbols.find("cudaFree");
        hostAlloc = symbols.find("cudaHostAlloc");
        freeHost = symbols.find("cudaFreeHost");
        pointerGetAttributes = symbols.find("cudaPointerGetAttributes");
        memcpyAsync = symbols.find("cudaMemcpyAsync");
        memcpy2DAsync = symbols.find("cudaMemcpy2DAsync");
        memsetAsync = symbols.find("cudaMemsetAsync");
        memset2DAsync = symbols.find("cudaMemset2DAsync");
        streamCreateWithFlags = symbols.find("cudaStreamCreateWithFlags");
        streamSynchronize = symbols.find("cudaStreamSynchronize");
        streamDestroy = symbols.find("cudaStreamDestroy");
        eventCreateWithFlags = symbols.find("cudaEventCreateWithFlags");
        eventRecord = symbols.find("cudaEventRecord");
        eventSynchronize = symbols.find("cudaEventSynchronize");
        eventDestroy = symbols.find("cudaEventDestroy");
        symbols.check();
    }

    // ---- the machine

    /** 13000 for CUDA 13.0. */
    int runtimeVersion() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
            check(cudaRuntimeGetVersion.invoke(runtimeGetVersion, version), "cudaRuntimeGetVersion()", null);
            return version.get(ValueLayout.JAVA_INT, 0);
        }
    }

    /** The newest CUDA that the driver takes, 0 without a driver. */
    int driverVersion() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment version = arena.allocate(ValueLayout.JAVA_INT);
            check(cudaDriverGetVersion.invoke(driverGetVersion, version), "cudaDriverGetVersion()", null);
            return version.get(ValueLayout.JAVA_INT, 0);
        }
    }

    /** @throws NativeException with the driver's answer where there is no GPU or no driver */
    int deviceCount() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment count = arena.allocate(ValueLayout.JAVA_INT);
            check(cudaGetDeviceCount.invoke(getDeviceCount, count), "cudaGetDeviceCount()", null);
            return count.get(ValueLayout.JAVA_INT, 0);
        }
    }

    String deviceName(int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment properties = arena.allocate(PROPERTIES, 16);
            check(cudaGetDeviceProperties.invoke(getDeviceProperties, properties, index), "cudaGetDeviceProperties(" + index + ")", null);
            return properties.getString(0);
        }
    }

    int attribute(int attribute, int index) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment value = arena.allocate(ValueLayout.JAVA_INT);
            check(cudaDeviceGetAttribute.invoke(deviceGetAttribute, value, attribute, index), "cudaDeviceGetAttribute(" + attribute + ", " + index + ")", null);
            return value.get(ValueLayout.JAVA_INT, 0);
        }
    }

    void setDevice(int index, InFlight inFlight) {
        int code = cudaSetDevice.invoke(setDevice, index);
        if (code != 0) {
            throw failure(code, "cudaSetDevice(" + index + ")", inFlight);
        }
    }

    // ---- memory

    /** Free and total bytes of the current device, in words; or why they can't be told. */
    String memory() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment free = arena.allocate(ValueLayout.JAVA_LONG);
            MemorySegment total = arena.allocate(ValueLayout.JAVA_LONG);
            check(cudaMemGetInfo.invoke(memGetInfo, free, total), "cudaMemGetInfo()", null);
            return free.get(ValueLayout.JAVA_LONG, 0) + " of " + total.get(ValueLayout.JAVA_LONG, 0) + " bytes are free";
        } catch (NativeException e) {
            return e.getMessage();
        }
    }

    /** Device memory, or NULL where there is no room. */
    MemorySegment malloc(long bytes, InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            int code = cudaMalloc.invoke(malloc, pointer, bytes);
            return allocated(code, pointer, "cudaMalloc(", bytes, inFlight);
        }
    }

    void free(MemorySegment pointer, InFlight inFlight) {
        check(cudaFree.invoke(free, pointer), "cudaFree()", inFlight);
    }

    /** Pinned host memory, or NULL where there is no room. */
    MemorySegment hostAlloc(long bytes, InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment pointer = arena.allocate(ValueLayout.ADDRESS);
            int code = cudaHostAlloc.invoke(hostAlloc, pointer, bytes, cuda_h.cudaHostAllocDefault());
            return allocated(code, pointer, "cudaHostAlloc(", bytes, inFlight);
        }
    }

    private MemorySegment allocated(int code, MemorySegment pointer, String call, long bytes, InFlight inFlight) {
        if (code == cuda_h.cudaErrorMemoryAllocation()) {
            cudaGetLastError.invoke(getLastError);
            return MemorySegment.NULL;
        }
        check(code, call + bytes + ")", inFlight);
        return pointer.get(ValueLayout.ADDRESS, 0);
    }

    void freeHost(MemorySegment pointer, InFlight inFlight) {
        check(cudaFreeHost.invoke(freeHost, pointer), "cudaFreeHost()", inFlight);
    }

    /** The device whose memory {@code pointer} is; −1 for memory that is no device's. */
    int deviceOf(MemorySegment pointer, InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment attributes = arena.allocate(POINTER_ATTRIBUTES, 16);
            check(cudaPointerGetAttributes.invoke(pointerGetAttributes, attributes, pointer), "cudaPointerGetAttributes(" + hex(pointer) + ")", inFlight);
            int type = attributes.get(ValueLayout.JAVA_INT, 0);
            boolean device = type == cuda_h.cudaMemoryTypeDevice() || type == cuda_h.cudaMemoryTypeManaged();
            return device ? attributes.get(ValueLayout.JAVA_INT, Integer.BYTES) : -1;
        }
    }

    /** Rows of {@code width} bytes that are {@code pitch} bytes apart; one copy where there are no gaps. */
    void copy(MemorySegment target, long targetPitch, MemorySegment source, long sourcePitch, long width, long rows, int kind,
            MemorySegment stream, InFlight inFlight) {
        int code;
        if (rows == 1 || width == targetPitch && width == sourcePitch) {
            code = cudaMemcpyAsync.invoke(memcpyAsync, target, source, width * rows, kind, stream);
        } else {
            code = cudaMemcpy2DAsync.invoke(memcpy2DAsync, target, targetPitch, source, sourcePitch, width, rows, kind, stream);
        }
        if (code != 0) {
            throw failure(code, "cudaMemcpy2DAsync(dpitch=" + targetPitch + ", spitch=" + sourcePitch + ", width=" + width + ", height=" + rows
                    + ", kind=" + kind + ")", inFlight);
        }
        inFlight.add("cudaMemcpyAsync", width, rows, kind);
    }

    /** The same bytes into rows of {@code width} bytes that are {@code pitch} bytes apart. */
    void set(MemorySegment target, long pitch, int value, long width, long rows, MemorySegment stream, InFlight inFlight) {
        int code;
        if (rows == 1 || width == pitch) {
            code = cudaMemsetAsync.invoke(memsetAsync, target, value, width * rows, stream);
        } else {
            code = cudaMemset2DAsync.invoke(memset2DAsync, target, pitch, value, width, rows, stream);
        }
        if (code != 0) {
            throw failure(code, "cudaMemset2DAsync(pitch=" + pitch + ", value=" + value + ", width=" + width + ", height=" + rows + ")", inFlight);
        }
        inFlight.add("cudaMemsetAsync", width, rows, -1);
    }

    // ---- streams and events

    MemorySegment createStream(InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stream = arena.allocate(ValueLayout.ADDRESS);
            check(cudaStreamCreateWithFlags.invoke(streamCreateWithFlags, stream, cuda_h.cudaStreamNonBlocking()), "cudaStreamCreateWithFlags(nonBlocking)", inFlight);
            return stream.get(ValueLayout.ADDRESS, 0);
        }
    }

    /** Waits until everything in the stream is done. */
    void synchronize(MemorySegment stream, InFlight inFlight) {
        int code = cudaStreamSynchronize.invoke(streamSynchronize, stream);
        if (code != 0) {
            throw failure(code, "cudaStreamSynchronize()", inFlight);
        }
        inFlight.clear();
    }

    void destroyStream(MemorySegment stream, InFlight inFlight) {
        check(cudaStreamDestroy.invoke(streamDestroy, stream), "cudaStreamDestroy()", inFlight);
    }

    MemorySegment createEvent(InFlight inFlight) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment event = arena.allocate(ValueLayout.ADDRESS);
            check(cudaEventCreateWithFlags.invoke(eventCreateWithFlags, event, cuda_h.cudaEventDisableTiming()), "cudaEventCreateWithFlags(disableTiming)", inFlight);
            return event.get(ValueLayout.ADDRESS, 0);
        }
    }

    void record(MemorySegment event, MemorySegment stream, InFlight inFlight) {
        check(cudaEventRecord.invoke(eventRecord, event, stream), "cudaEventRecord()", inFlight);
    }

    /** Waits until everything before the event is done. */
    void synchronizeEvent(MemorySegment event, InFlight inFlight) {
        check(cudaEventSynchronize.invoke(eventSynchronize, event), "cudaEventSynchronize()", inFlight);
    }

    void destroyEvent(MemorySegment event, InFlight inFlight) {
        check(cudaEventDestroy.invoke(eventDestroy, event), "cudaEventDestroy()", inFlight);
    }

    // ---- errors

    private void check(int code, String call, InFlight inFlight) {
        if (code != 0) {
            throw failure(code, call, inFlight);
        }
    }

    private NativeException failure(int code, String call, InFlight inFlight) {
        cudaGetLastError.invoke(getLastError); // or a later call of another library would report it as its own
        return new NativeException(call, code, cudaGetErrorName.invoke(getErrorName, code).getString(0) + " ("
                + cudaGetErrorString.invoke(getErrorString, code).getString(0) + ")" + (inFlight == null ? "" : inFlight.text()));
    }

    private static String hex(MemorySegment pointer) {
        return "0x" + Long.toHexString(pointer.address());
    }
}
