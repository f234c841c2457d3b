import Foundation
import LogModel
import Patterns
import Testing

@Suite struct TemplateMinerGoldenTests {
    /// A change here is a change of what users see, and of ids in databases: it is reviewed as one.
    @Test func `each Loghub sample has the patterns of the golden file`() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Golden/miner.txt")
        let golden = try String(contentsOf: file, encoding: .utf8)
        let isPrinting = ProcessInfo.processInfo.environment["LOGBOOM_TEST_PRINT_GOLDEN"] != nil
        for line in golden.split(separator: "\n") where !line.hasPrefix("##") {
            let parts = line.split(separator: "\t")
            try #require(parts.count == 3)
            let lines = loghubLines(suffix: "\(parts[0]).log")
            guard !lines.isEmpty else { continue }
            var rig = MiningRig(capacity: 5000)
            for message in lines { _ = rig.learn(message) }
            rig.miner.settle()
            let texts = rig.catalogue.map(\.text).sorted { $0.lexicographicallyPrecedes($1) }
            let hash = texts.flatMap { $0 + [10] }.withUnsafeBufferPointer { XXH64.hash($0) }
            let digits = String(hash, radix: 16)
            let found = [String(parts[0]), "\(texts.count)", String(repeating: "0", count: 16 - digits.count) + digits]
            if isPrinting { print(found.joined(separator: "\t")) }
            #expect(found == parts.map(String.init))
        }
    }
}
