import Glibc
import HTTPWire

// The fuzz target of the HTTP reader: what packaging/fuzz builds and libFuzzer calls with bytes of its choice
// (llvm.org/docs/LibFuzzer.html). The first byte chooses where the rest is cut. A promise that is broken ends the process, and libFuzzer
// keeps the input.

/// Ends the process with the sentence and the bytes in question, unless `holds`.
private func check(_ holds: Bool, _ promise: StaticString, _ bytes: [UInt8]) {
    guard !holds else { return }
    let report = "BROKEN PROMISE: \(promise)\n  \(String(decoding: bytes, as: UTF8.self).debugDescription)\n"
    _ = Array(report.utf8).withUnsafeBytes { write(STDERR_FILENO, $0.baseAddress, $0.count) }
    abort()
}

private struct Outcome: Equatable {
    var bodies: [[UInt8]] = []
    var heads: [RequestHead] = []
    var fault: RequestFault?
    var restByteCount = 0
}

/// Small, so that inputs reach them.
private let bounds: RequestBounds = {
    var bounds = RequestBounds(bodyByteCountMax: 64)
    bounds.requestLineByteCountMax = 64
    bounds.headByteCountMax = 256
    bounds.fieldCountMax = 8
    bounds.chunkExtensionByteCountMax = 8
    return bounds
}()

/// Reads the bytes as a connection does that gets them `pieceByteCount` at a time.
private func run(_ bytes: [UInt8], pieceByteCount: Int) -> Outcome {
    var outcome = Outcome()
    var reader = RequestReader(bounds: bounds)
    var unread: [UInt8] = []
    var rest = bytes[...]
    while !rest.isEmpty {
        unread += rest.prefix(pieceByteCount)
        rest = rest.dropFirst(pieceByteCount)
        steps: while !unread.isEmpty {
            // A copy of exactly these bytes: what is read beyond them is found by AddressSanitizer.
            var step = Array(unread).withUnsafeBytes { reader.read($0) }
            if step == .chunks {
                let (next, spare) = unread.withUnsafeMutableBytes { reader.readChunks($0) }
                check(spare >= 0 && spare <= unread.count, "no more is cut off than there is", bytes)
                unread.removeLast(spare)
                step = next
            }
            switch step {
            case .head: continue
            case .more, .chunks: break steps
            case .request:
                check(
                    reader.byteCount > 0 && reader.byteCount <= unread.count,
                    "a request lies within its bytes",
                    bytes
                )
                check(reader.body.upperBound <= reader.byteCount, "a body lies within its request", bytes)
                check(reader.body.count <= bounds.bodyByteCountMax, "a body stays within its bound", bytes)
                check(reader.head.byteCount <= bounds.headByteCountMax, "a head stays within its bound", bytes)
                unread.withUnsafeBytes { raw in
                    reader.head.forEachField(in: raw) { name, value in
                        check(!raw[name.range].isEmpty, "a field has a name", bytes)
                        check(
                            !raw[value.range].contains { $0 < 0x20 && $0 != 9 || $0 == 0x7F },
                            "a value has no control characters",
                            bytes
                        )
                    }
                }
                outcome.heads.append(reader.head)
                outcome.bodies.append(Array(unread[reader.body]))
                unread.removeFirst(reader.byteCount)
                reader.next()
            case .refused(let fault):
                outcome.fault = fault
                return outcome
            }
        }
        check(
            unread.count <= bounds.headByteCountMax + bounds.bodyByteCountMax + pieceByteCount + 256,
            "what is kept is bounded",
            bytes
        )
    }
    outcome.restByteCount = unread.isEmpty ? 0 : 1
    return outcome
}

/// - Returns: always 0; other values are reserved by libFuzzer.
@_cdecl("LLVMFuzzerTestOneInput")
public func fuzzRequestReader(_ bytes: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    guard let bytes, count > 0 else { return 0 }
    let input = Array(UnsafeBufferPointer(start: bytes + 1, count: count - 1))
    let whole = run(input, pieceByteCount: max(1, input.count))
    check(run(input, pieceByteCount: 1) == whole, "reading byte by byte changes nothing", input)
    check(run(input, pieceByteCount: 2 + Int(bytes[0])) == whole, "cutting changes nothing", input)
    return 0
}
