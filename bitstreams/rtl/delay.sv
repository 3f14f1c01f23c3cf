// d, LAT clocks later.
module delay #(
  parameter int W = 1,
  parameter int LAT = 1
) (
  input  logic clk,
  input  logic [W-1:0] d,
  output logic [W-1:0] q
);
  logic [W-1:0] line[0:LAT-1];
  always_ff @(posedge clk) begin
    line[0] <= d;
    for (int i = 1; i < LAT; i++) line[i] <= line[i-1];
  end
  assign q = line[LAT-1];
endmodule
