// A signed product of bytes of logic alone, in the same clock: w in digits of two bits.
module digits (
  input  logic signed [7:0] x,
  input  logic [7:0] w,
  output logic signed [15:0] p
);
  // The top digit counts from -2 to 1.
  function automatic logic signed [9:0] times(input logic signed [7:0] v, input logic [1:0] digit, input logic top);
    logic signed [9:0] twice;
    twice = digit[1] ? {v[7], v, 1'b0} : 10'sd0;
    times = (digit[0] ? 10'(v) : 10'sd0) + (top ? -twice : twice);
  endfunction
  wire signed [11:0] low = 12'(times(x, w[1:0], 0)) + $signed({times(x, w[3:2], 0), 2'b0});
  wire signed [11:0] high = 12'(times(x, w[5:4], 0)) + $signed({times(x, w[7:6], 1), 2'b0});
  assign p = 16'(low) + $signed({high, 4'b0});
endmodule
