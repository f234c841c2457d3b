internal import CCrypto

/// SHA-256 (FIPS 180-4) by libcrypto, which is opened with the first hash.
package enum SHA256 {
    package static let byteCount = 32

    /// Why nothing can be hashed, as a sentence's end; `nil` when all is well. Opens libcrypto, so it is for those who are
    /// about to hash.
    package static func problem() -> String? {
        logboom_libcrypto_load().map { String(cString: $0) }
    }

    /// The hash of `bytes`; empty, which is nobody's, when there is a ``problem()``. Some 150 ns for a token; allocates the
    /// result only.
    package static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        guard logboom_libcrypto_load() == nil else { return [] }
        var digest = [UInt8](repeating: 0, count: byteCount)
        logboom_sha256(bytes.baseAddress, bytes.count, &digest)
        return digest
    }
}
