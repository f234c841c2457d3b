import JSONBytes
import PipelineTesting
import Testing

@Suite struct RobustnessTests {
    static let samples = [
        #"{"message":"User login successful","level":"INFO","metadata":{"user_id":"123","ip":"10.0.1.50"}}"#,
        #"[{"a":-1.5e+3,"b":[true,false,null,"\u00e9\ud83d\ude00\\\"x"]},{},[[]],"é€😀"]"#,
        #" { "logs" : [ 1 , 2 , { "deep" : [ [ [ { "x" : 0.25 } ] ] ] } ] } "#,
    ]

    @Test(arguments: samples)
    func `every proper prefix of a document is refused at its end or before`(_ sample: String) {
        let bytes = Array(sample.utf8)
        let length = bytes.lastIndex { $0 != 0x20 }.map { $0 + 1 } ?? 0
        for count in 0..<length {
            let prefix = Array(bytes[..<count])
            guard let error = validationError(prefix) else {
                Issue.record("accepted the first \(count) bytes")
                continue
            }
            #expect(error.offset <= count)
            guard case .failure(let other) = walk(prefix) else {
                Issue.record("walk accepted \(count) bytes")
                return
            }
            #expect(other == error)
        }
    }

    @Test(arguments: samples)
    func `no byte in any place makes the reader stumble`(_ sample: String) {
        let bytes = Array(sample.utf8)
        for place in bytes.indices {
            for byte in UInt8.min...UInt8.max {
                var mutated = bytes
                mutated[place] = byte
                let error = validationError(mutated)
                switch (error, walk(mutated)) {
                case (nil, .success): break
                case (let error?, .failure(let other)) where error == other && (0...bytes.count).contains(error.offset):
                    break
                default: Issue.record("place \(place), byte \(byte)")
                }
            }
        }
    }

    @Test func `what the writer writes the parser reads back, and again`() throws {
        var generator = DocumentGenerator(random: SeededGenerator(of: "identity"))
        for _ in 0..<5_000 {
            guard let value = try? JSONValue.parse(generator.document()) else { continue }
            let bytes = value.bytes
            #expect(try JSONValue.parse(bytes) == value)
            #expect(try JSONValue.parse(bytes).bytes == bytes)
        }
    }

    @Test func `a tree keeps order, repeated keys and whole numbers`() throws {
        let value = try JSONValue.parse(Array(#"{"b":1,"a":[9007199254740993,-0,1.0,"x"],"b":null}"#.utf8))
        #expect(value.members?.map(\.key) == ["b", "a", "b"])
        #expect(value["b"] == .null)
        #expect(value["a"]?[0]?.integer == 9_007_199_254_740_993)
        #expect(value["a"]?[1]?.double?.sign == .minus)
        #expect(value["a"]?[2]?.double == 1)
        #expect(value["a"]?[3]?.string == "x")
        #expect(value["a"]?[4] == nil)
        #expect(value["none"] == nil)
        #expect(value[0] == nil)
    }

    @Test func `a tree has at most as many nodes as the caller allows`() {
        let bytes = Array("[1,2,3]".utf8)
        #expect(throws: Never.self) { try JSONValue.parse(bytes, nodeCountMax: 4) }
        #expect(throws: JSONSyntaxError(offset: 5, reason: "too many values")) {
            try JSONValue.parse(bytes, nodeCountMax: 3)
        }
    }

    @Test func `a tree refuses a number that no double holds`() {
        #expect(throws: JSONSyntaxError(offset: 1, reason: "number out of range")) {
            try JSONValue.parse(Array("[1e999]".utf8))
        }
    }
}
