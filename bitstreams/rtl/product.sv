// A signed product of bytes in 2 clocks, of logic alone: w in digits of two bits.
module product (
  input  logic clk,
  input  logic signed [7:0] x, w,
  output logic signed [15:0] p
);
  function automatic logic signed [9:0] times(input logic signed [7:0] v, input logic [1:0] digit);
    times = (digit[0] ? 10'(v) : 10'sd0) + (digit[1] ? {v[7], v, 1'b0} : 10'sd0);
  endfunction
  // The top digit counts from -2 to 1.
  function automatic logic signed [9:0] times_top(input logic signed [7:0] v, input logic [1:0] digit);
    times_top = (digit[0] ? 10'(v) : 10'sd0) - (digit[1] ? {v[7], v, 1'b0} : 10'sd0);
  endfunction
  logic signed [9:0] d0, d1, d2, d3;
  wire signed [11:0] low = 12'(d0) + $signed({d1, 2'b0});
  wire signed [11:0] high = 12'(d2) + $signed({d3, 2'b0});
  always_ff @(posedge clk) begin
    d0 <= times(x, w[1:0]);
    d1 <= times(x, w[3:2]);
    d2 <= times(x, w[5:4]);
    d3 <= times_top(x, w[7:6]);
    p <= 16'(low) + $signed({high, 4'b0});
  end
endmodule
