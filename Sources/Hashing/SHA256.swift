internal import CCrypto

/// SHA-256 (FIPS 180-4) by libcrypto, which libpq brings into the daemon anyway.
package enum SHA256 {
    package static let byteCount = 32

    /// The hash of `bytes`. Some 150 ns for a token; allocates the result only.
    package static func hash(_ bytes: UnsafeBufferPointer<UInt8>) -> [UInt8] {
        var digest = [UInt8](repeating: 0, count: byteCount)
        var context = SHA256_CTX()
        // The three return 1 whatever they are given: they neither allocate nor fetch anything that could fail.
        SHA256_Init(&context)
        SHA256_Update(&context, bytes.baseAddress, bytes.count)
        SHA256_Final(&digest, &context)
        return digest
    }
}
